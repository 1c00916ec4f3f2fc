/** The list, what the user has to be told, and the way out. */
import { type FormEvent, useCallback, useState } from "react"
import type { Live, Undo, User } from "todo-api/client"
import { useLive, useNotices, useStatus, useTodos } from "todo-api/client/react"
import { Account } from "./account.tsx"
import { messageOf } from "./messages.ts"
import { Row } from "./row.tsx"

const Banner = ({ live }: { live: Live }) => {
  const { is_online, is_logged_in, is_stored, pending } = useStatus()
  const waiting = pending === 1 ? "1 edit waits" : `${pending} edits wait`
  if (!is_logged_in) return <p className="banner">Please log in again. {waiting}.</p>
  if (!is_stored && !is_online)
    return <p className="banner">This device is full: do not close this page. {waiting}.</p>
  if (is_online) return null
  return (
    <p className="banner">
      You are offline. {waiting}.{" "}
      <button type="button" onClick={live.retry}>
        Try again
      </button>
    </p>
  )
}

const Notices = ({ live }: { live: Live }) => (
  <ul className="notices">
    {useNotices().map(({ key, message }) => (
      <li key={key}>
        {message}{" "}
        <button type="button" onClick={() => live.dismiss(key)}>
          OK
        </button>
      </li>
    ))}
  </ul>
)

const New = ({ live, onError }: { live: Live; onError: (error: unknown) => void }) => {
  const [title, setTitle] = useState("")
  const add = (event: FormEvent) => {
    event.preventDefault()
    live.create({ title }).then(() => setTitle(""), onError)
  }
  return (
    <form onSubmit={add}>
      <input
        aria-label="New todo"
        placeholder="What is to be done?"
        value={title}
        onChange={(event) => setTitle(event.target.value)}
      />
      <button type="submit">Add</button>
    </form>
  )
}

export const Todos = ({ user }: { user: User }) => {
  const live = useLive()
  const todos = useTodos({}, "created_at")
  const { has_synced } = useStatus()
  const [message, setMessage] = useState("")
  const [deleted, setDeleted] = useState<{ title: string; undo: Undo }>()
  const onError = useCallback((error: unknown) => setMessage(messageOf(error)), [])
  const onDeleted = useCallback((title: string, undo: Undo) => setDeleted({ title, undo }), [])
  if (!live) return <p>Loading…</p>
  const open = todos.filter(({ is_completed }) => !is_completed)
  const completeAll = () =>
    live.updateMany(
      open.map(({ key }) => key),
      { is_completed: true },
    )
  return (
    <main>
      <Account user={user} onError={onError} />
      <Banner live={live} />
      <Notices live={live} />
      <New live={live} onError={onError} />
      <p role="alert">{message}</p>
      <ul className="todos">
        {todos.map((todo) => (
          <Row key={todo.key} live={live} todo={todo} onDeleted={onDeleted} onError={onError} />
        ))}
      </ul>
      {deleted && (
        <p className="deleted">
          Deleted “{deleted.title}” ·{" "}
          <button
            type="button"
            onClick={() => {
              setDeleted(undefined)
              deleted.undo().catch(onError)
            }}
          >
            Undo
          </button>
        </p>
      )}
      {todos.length === 0 && <p className="empty">{has_synced ? "Nothing to do." : "Loading…"}</p>}
      <p>
        {open.length} open{" "}
        <button
          type="button"
          disabled={open.length === 0}
          onClick={() => completeAll().catch(onError)}
        >
          Complete all
        </button>
      </p>
    </main>
  )
}
