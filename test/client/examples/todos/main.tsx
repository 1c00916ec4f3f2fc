/** `bun run example`: this page at http://localhost:3000, with the service at http://127.0.0.1:8000. */
import { StrictMode } from "react"
import { createRoot } from "react-dom/client"
import { TodoProvider } from "todo-api/client/react"
import { App } from "./app.tsx"

/** Another one: `?api=https://todo.example`. */
const url = new URLSearchParams(location.search).get("api") ?? "http://127.0.0.1:8000"
const root = document.getElementById("root")
if (root)
  createRoot(root).render(
    <StrictMode>
      <TodoProvider url={url} fallback={<p>Loading…</p>}>
        <App />
      </TodoProvider>
    </StrictMode>,
  )
