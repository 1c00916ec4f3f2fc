/** One form for both: to register and to log in. */
import { type FormEvent, useState } from "react"
import { useClient } from "todo-api/client/react"
import { messageOf } from "./messages.ts"

export const LogIn = () => {
  const client = useClient()
  const [message, setMessage] = useState("")
  const [isBusy, setBusy] = useState(false)

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const { submitter } = event.nativeEvent as SubmitEvent
    const form = new FormData(event.currentTarget)
    const account = { email: String(form.get("email")), password: String(form.get("password")) }
    setBusy(true)
    setMessage("")
    try {
      const isNew = submitter instanceof HTMLButtonElement && submitter.name === "register"
      await (isNew ? client.register(account) : client.logIn(account))
    } catch (error) {
      setMessage(messageOf(error))
      setBusy(false)
    }
  }

  return (
    <form className="log-in" onSubmit={submit}>
      <h1>Todos</h1>
      <label>
        Email <input name="email" type="email" autoComplete="username" required />
      </label>
      <label>
        Password <input name="password" type="password" autoComplete="current-password" required />
      </label>
      <p role="alert">{message}</p>
      <button type="submit" name="log-in" disabled={isBusy}>
        Log in
      </button>
      <button type="submit" name="register" disabled={isBusy}>
        Register
      </button>
    </form>
  )
}
