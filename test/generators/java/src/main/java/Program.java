import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.LinkedHashMap;
import java.util.Map;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.AuthenticationApi;
import org.openapitools.client.api.TodosApi;
import org.openapitools.client.model.Credentials;
import org.openapitools.client.model.NewTodo;
import org.openapitools.client.model.Registration;
import org.openapitools.client.model.TodoChanges;

/** The round trip by a client of openapi-generator. */
public class Program {
  static final ObjectMapper json = new ObjectMapper();

  interface Call {
    Object run() throws ApiException;
  }

  static String errorCode(Call call) throws Exception {
    try {
      call.run();
      return "none";
    } catch (ApiException refusal) {
      JsonNode problem = json.readTree(refusal.getResponseBody());
      return problem.get("error_code").asText();
    }
  }

  public static void main(String[] args) throws Exception {
    String email = "java@example.org";
    String password = "correct horse battery staple";
    ApiClient client = new ApiClient();
    client.updateBaseUri(args[0]);
    AuthenticationApi accounts = new AuthenticationApi(client);
    var registered = accounts.register(new Registration().email(email).password(password));
    var session = accounts.login(new Credentials().email(email).password(password));
    client.setRequestInterceptor(
        request -> request.header("Authorization", "Bearer " + session.getAccessToken()));
    TodosApi todos = new TodosApi(client);
    var created = todos.createTodoWithHttpInfo(new NewTodo().title("Buy milk"), null);
    Long id = created.getData().getId();
    String seen = created.getHeaders().get("etag").get(0);
    var updated = todos.putTodo(id, new TodoChanges().isCompleted(true), seen);
    String stale =
        errorCode(() -> todos.putTodo(id, new TodoChanges().title("Buy oats"), seen));
    int deleted = todos.deleteTodoWithHttpInfo(id, null).getStatusCode();
    String gone = errorCode(() -> todos.getTodo(id, null));

    Map<String, Object> told = new LinkedHashMap<>();
    told.put("email", registered.getEmail());
    told.put("created", created.getData().getTitle());
    told.put("updated", updated.getIsCompleted());
    told.put("stale", stale);
    told.put("deleted", deleted);
    told.put("gone", gone);
    System.out.println(json.writeValueAsString(told));
  }
}
