/** One seed: five clients of one account in three browsers, and everything that goes wrong. */
import type { Todo } from "../../../src/client/calls.ts"
import type { Live } from "../../../src/client/live/live.ts"
import type { Notice } from "../../../src/client/live/model.ts"
import { type Click, findLostClicks } from "./clicks.ts"
import { type Credentials, createProfile, type Device, startDevice } from "./device.ts"
import { createNetwork, type Service } from "./network.ts"
import { createRandom } from "./random.ts"

const STEPS = 40
/** Milliseconds: a machine may be slow, and a restart may take its time. */
const PATIENCE = 60_000

const soon = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds))

/** In the order of ids: within a millisecond a client cannot know the service's order. */
const inWords = (todos: readonly Todo[]) =>
  [...todos]
    .sort((a, b) => a.id - b.id)
    .map(
      ({ id, title, is_completed, updated_at }) => `${id} ${title} ${is_completed} ${updated_at}`,
    )
    .join(", ")

/** Undefined while edits are on their way. */
const seenBy = (live: Live | undefined) =>
  live?.status().pending === 0 ? inWords(live.list()) : undefined

type Given = {
  service: Service
  seed: number
  credentials: Credentials
  /** As the service has it, with no client between. */
  list: () => Promise<Todo[]>
}

export const simulate = async ({ service, seed, credentials, list }: Given) => {
  const random = createRandom(seed)
  const { chance, below, oneOf } = random
  const network = createNetwork()
  const profiles = [createProfile(), createProfile(), createProfile()] as const
  const homes = [profiles[0], profiles[0], profiles[1], profiles[1], profiles[2]]
  const hasLocks = chance(0.8)
  const start = (profile: (typeof homes)[number]) =>
    startDevice({ service, network, random, profile, hasLocks }, credentials)
  const devices = await Promise.all(homes.map(start))
  const clicks: Click[] = []
  let names = 0
  const newName = () => `${seed}-${++names}`

  const record = (click: Click, stored: Promise<unknown>) => {
    clicks.push(click)
    stored.then(
      () => {
        click.isStored = true
      },
      () => {},
    )
  }

  const click = (live: Live, profile: number) => {
    const todo = oneOf(live.list())
    const marker = todo?.description
    if (!todo || !marker || chance(0.3)) {
      const [description, title] = [newName(), chance(0.05) ? "" : newName()]
      const made: Click = { kind: "create", marker: description, title, profile, isStored: false }
      return record(made, live.create({ title, description }))
    }
    if (chance(0.15))
      return record({ kind: "delete", marker, profile, isStored: false }, live.delete(todo.id))
    if (chance(0.3))
      return void live.update(todo.id, { is_completed: !todo.is_completed }).catch(() => {})
    const title = newName()
    const edit: Click = { kind: "edit", marker, base: todo.title, title, profile, isStored: false }
    record(edit, live.update(todo.id, { title }))
  }

  const happen = async (device: Device, index: number) => {
    const home = homes[index]
    const live = device.live()
    if (chance(0.04) && home) {
      device.kill()
      devices[index] = await start(home)
    } else if (chance(0.08)) device.setOnline(chance(0.5))
    else if (chance(0.03)) await device.loseAccess()
    else if (live && home) click(live, profiles.indexOf(home))
  }

  while (devices.some((device) => !device.live())) await soon(5)
  for (let step = 0; step < STEPS; step++) {
    const index = below(devices.length)
    const device = devices[index]
    if (device) await happen(device, index)
    if (chance(0.7)) await soon(below(20))
  }

  network.isHealed = true
  for (const device of devices) device.setOnline(true)
  const deadline = Date.now() + PATIENCE
  const isEqual = async () => {
    const seen = devices.map((device) => seenBy(device.live()))
    return (
      seen.every((one) => one !== undefined && one === seen[0]) && seen[0] === inWords(await list())
    )
  }
  while (!(await isEqual()) && Date.now() < deadline) await soon(30)
  const todos = await list()
  const wrong = devices.flatMap((device, index) =>
    seenBy(device.live()) === inWords(todos)
      ? []
      : [`client ${index} shows ${seenBy(device.live())}, not ${inWords(todos)}`],
  )
  const notices = [devices[0], devices[2], devices[4]].flatMap<Notice>(
    (device) => device?.live()?.notices() ?? [],
  )
  wrong.push(...findLostClicks(clicks, todos, notices))
  for (const device of devices) device.kill()
  return { wrong, clicks: clicks.length, told: notices.length }
}
