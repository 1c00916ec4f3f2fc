/** A todo: a checkbox, a title that a double click renames, and a button that deletes it. */
import { memo, useState } from "react"
import type { Live, LiveTodo, Undo } from "todo-api/client"

/** The focus follows the double click. */
const focus = (input: HTMLInputElement | null) => input?.focus()

type Props = {
  live: Live
  todo: LiveTodo
  onDeleted: (title: string, undo: Undo) => void
  onError: (error: unknown) => void
}

export const Row = memo(({ live, todo, onDeleted, onError }: Props) => {
  const [draft, setDraft] = useState<string>()
  const rename = () => {
    setDraft(undefined)
    if (draft !== undefined && draft !== todo.title)
      live.update(todo.key, { title: draft }).catch(onError)
  }
  return (
    <li className={todo.is_pending ? "pending" : ""}>
      <input
        type="checkbox"
        aria-label={`Done: ${todo.title}`}
        checked={todo.is_completed}
        onChange={({ target }) =>
          live.update(todo.key, { is_completed: target.checked }).catch(onError)
        }
      />
      {draft === undefined ? (
        <button type="button" className="title" onDoubleClick={() => setDraft(todo.title)}>
          {todo.title}
        </button>
      ) : (
        <input
          aria-label="Title"
          ref={focus}
          value={draft}
          onChange={({ target }) => setDraft(target.value)}
          onBlur={rename}
          onKeyDown={({ key }) => key === "Enter" && rename()}
        />
      )}
      <button
        type="button"
        aria-label={`Delete: ${todo.title}`}
        onClick={() => live.delete(todo.key).then((undo) => onDeleted(todo.title, undo), onError)}
      >
        ✕
      </button>
    </li>
  )
})
