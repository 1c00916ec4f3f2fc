/** To log out, with the question what becomes of edits that are not sent, and to delete the account. */
import { type FormEvent, useState } from "react"
import { ApiError, type LogOutOptions, type User } from "todo-api/client"
import { useClient } from "todo-api/client/react"

type Asked = { pending: number } | "delete" | undefined

export const Account = ({ user, onError }: { user: User; onError: (error: unknown) => void }) => {
  const client = useClient()
  const [asked, setAsked] = useState<Asked>()

  const logOut = (options?: LogOutOptions) => {
    setAsked(undefined)
    client.logOut(options).catch((error: unknown) => {
      if (error instanceof ApiError && error.error_code === "EDITS_PENDING")
        setAsked({ pending: error.pending })
      else onError(error)
    })
  }
  const deleteAccount = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const password = String(new FormData(event.currentTarget).get("password"))
    client.deleteAccount(password).catch(onError)
    setAsked(undefined)
  }

  return (
    <header>
      <strong>{user.email}</strong>{" "}
      <button type="button" onClick={() => logOut()}>
        Log out
      </button>
      <button type="button" onClick={() => setAsked("delete")}>
        Delete account
      </button>
      {asked === "delete" && (
        <form role="dialog" aria-label="Delete account" onSubmit={deleteAccount}>
          <p>All todos are lost, on every device.</p>
          <input name="password" type="password" aria-label="Password" required />
          <button type="submit">Delete everything</button>
          <button type="button" onClick={() => setAsked(undefined)}>
            Cancel
          </button>
        </form>
      )}
      {typeof asked === "object" && (
        <div role="dialog" aria-label="Log out">
          <p>Not sent yet: {asked.pending} of your edits.</p>
          <button type="button" onClick={() => logOut()}>
            Try again
          </button>
          <button type="button" onClick={() => logOut({ pending: "keep" })}>
            Keep them here
          </button>
          <button type="button" onClick={() => logOut({ pending: "discard" })}>
            Discard them
          </button>
          <button type="button" onClick={() => setAsked(undefined)}>
            Cancel
          </button>
        </div>
      )}
    </header>
  )
}
