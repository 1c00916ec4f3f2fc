/** Thirty writers and thirty replicas of several users, while something befalls what serves them. */
import type { Cluster } from "../cluster.ts"
import type { Deployment } from "../deployment.ts"
import { listById, type Todo } from "../replica.ts"
import { MISCOUNTED } from "../rows.ts"
import { secondsFromNow, tokenFor } from "../tokens.ts"
import { type Held, Ledger } from "./ledger.ts"
import { openLive, type Tailing, tailByEvents, tailByWaiting } from "./replicas.ts"
import { createTally, type Tally } from "./tally.ts"
import { startWriter } from "./writer.ts"

const USERS = 6
const WRITERS_OF_A_USER = 5
/** Milliseconds until every replica is equal, when nobody writes any more. */
const PATIENCE = 60_000

const startUser = async (deployment: Deployment, tally: Tally, name: string) => {
  const { email, password, id } = await deployment.account(`${name}@example.org`)
  const token = tokenFor(id, { exp: secondsFromNow(86_400) })
  const user = deployment.withToken(token)
  const key = { "idempotency-key": "counter" }
  const create = () => user.post("/todos", { title: `${name} counter` }, key)
  const counter = (await tally.steadily(create)).body as Held
  const ledger = new Ledger(counter.id)
  const live = await openLive(`${name}-live`, deployment.url, { email, password }, ledger)
  const replicas: Tailing[] = [
    live.replica,
    tailByWaiting(user, tally),
    tailByWaiting(user, tally, 50),
    tailByEvents(deployment.url, token, user, tally),
    tailByEvents(deployment.url, token, user, tally),
  ]
  const writers = Array.from({ length: WRITERS_OF_A_USER }, (_, writer) =>
    startWriter(`${name}-${writer}`, user, ledger, tally),
  )
  return { id, name, user, ledger, replicas, writers: [live.writer, ...writers], live }
}

const isEqual = (replica: Tailing, list: Todo[]) => Bun.deepEquals(replica.todos(), list)

/** Milliseconds until all are equal to the list; what is not by then is wrong. */
const untilEqual = async (users: Awaited<ReturnType<typeof startUser>>[], tally: Tally) => {
  const start = performance.now()
  for (const { name, user, replicas } of users) {
    const list = await listById(user)
    for (const replica of replicas) {
      while (!isEqual(replica, list) && performance.now() - start < PATIENCE) await Bun.sleep(20)
      if (isEqual(replica, list)) continue
      const [has, all] = [replica.todos().length, list.length]
      tally.report(
        `a replica of ${name} that ${replica.name} is not equal: it has ${has} of ${all} todos`,
      )
    }
  }
  return Math.round(performance.now() - start)
}

/** `database`: the one that holds the data in the end. Resolves to all that was wrong. */
export const soak = async (
  deployment: Deployment,
  ordeal: (tally: Tally) => Promise<void>,
  database: () => Cluster,
) => {
  const tally = createTally()
  const stopWatching = tally.watch(() => database().query("select 1"))
  const users = await Promise.all(
    Array.from({ length: USERS }, (_, user) => startUser(deployment, tally, `user${user}`)),
  )
  await ordeal(tally)
  await Promise.all(users.flatMap(({ writers }) => writers.map(({ stop }) => stop())))
  const untilAllAreEqual = await untilEqual(users, tally)
  await Promise.all(users.flatMap(({ replicas }) => replicas.map(({ stop }) => stop())))

  let [created, deleted] = [0, 0]
  for (const { id, name, user, ledger, live } of users) {
    const tombstones = await database().query<{ id: string }>(
      `select id from deleted_todos where owner_id = ${id}`,
    )
    const list = (await user.get("/todos")).body as Held[]
    const differences = ledger.compare(
      list,
      tombstones.map((tombstone) => Number(tombstone.id)),
    )
    if (Object.keys(differences).length > 0) tally.report({ [name]: differences })
    if (live.notices().length > 0) tally.report({ [name]: live.notices() })
    created += ledger.created.size
    deleted += ledger.deleted.size
  }
  await stopWatching()
  const miscounted = await database().query(MISCOUNTED)
  if (miscounted.length > 0) tally.report({ miscounted })
  const replicas = users.flatMap((user) => user.replicas).length
  const wrong = tally.wrong()
  const figures = {
    ...tally.counts,
    created,
    deleted,
    replicas,
    "ms until equal": untilAllAreEqual,
  }
  return { figures, wrong }
}
