/** Who is logged in sees the todos, everybody else a form to log in or register. */
import { useUser } from "todo-api/client/react"
import { LogIn } from "./log-in.tsx"
import { Todos } from "./todos.tsx"

export const App = () => {
  const user = useUser()
  return user ? <Todos key={user.id} user={user} /> : <LogIn />
}
