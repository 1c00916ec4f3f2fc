// The round trip by a client of oapi-codegen.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"

	"generated/api"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	ctx := context.Background()
	email, password := "go@example.org", "correct horse battery staple"
	done := true
	title := "Buy oats"

	client := must(api.NewClientWithResponses(os.Args[1]))
	registered := must(client.RegisterWithResponse(ctx, api.Registration{Email: email, Password: password}))
	session := must(client.LoginWithResponse(ctx, api.Credentials{Email: email, Password: password}))
	bearer := func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer "+session.JSON200.AccessToken)
		return nil
	}
	created := must(client.CreateTodoWithResponse(ctx, nil, api.NewTodo{Title: "Buy milk"}, bearer))
	id := created.JSON201.Id
	seen := &api.PutTodoParams{}
	etag := created.HTTPResponse.Header.Get("ETag")
	seen.IfMatch = &etag
	updated := must(client.PutTodoWithResponse(ctx, id, seen, api.TodoChanges{IsCompleted: &done}, bearer))
	stale := must(client.PutTodoWithResponse(ctx, id, seen, api.TodoChanges{Title: &title}, bearer))
	deleted := must(client.DeleteTodoWithResponse(ctx, id, nil, bearer))
	gone := must(client.GetTodoWithResponse(ctx, id, nil, bearer))

	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"email":   registered.JSON201.Email,
		"created": created.JSON201.Title,
		"updated": updated.JSON200.IsCompleted,
		"stale":   stale.ApplicationproblemJSON412.ErrorCode,
		"deleted": deleted.StatusCode(),
		"gone":    gone.ApplicationproblemJSON404.ErrorCode,
	})
}
