"""The round trip by a client of openapi-python-client."""

import json
import sys

from generated.api.accounts import login, register
from generated.api.todos import create_todo, delete_todo, get_todo, put_todo
from generated.client import AuthenticatedClient, Client
from generated.models import Credentials, NewTodo, Registration, TodoChanges

url = sys.argv[1]
account = {"email": "python@example.org", "password": "correct horse battery staple"}

stranger = Client(base_url=url)
registered = register.sync(client=stranger, body=Registration(**account))
session = login.sync(client=stranger, body=Credentials(**account))
client = AuthenticatedClient(base_url=url, token=session.access_token)
created = create_todo.sync_detailed(client=client, body=NewTodo(title="Buy milk"))
id = created.parsed.id
seen = created.headers["etag"]
updated = put_todo.sync(id, client=client, if_match=seen, body=TodoChanges(is_completed=True))
stale = put_todo.sync(id, client=client, if_match=seen, body=TodoChanges(title="Buy oats"))
deleted = delete_todo.sync_detailed(id, client=client)
gone = get_todo.sync(id, client=client)

print(
    json.dumps(
        {
            "email": registered.email,
            "created": created.parsed.title,
            "updated": updated.is_completed,
            "stale": stale.error_code,
            "deleted": deleted.status_code,
            "gone": gone.error_code,
        }
    )
)
