/** Simulates one seed: five clients of one account in three browsers, and all that goes wrong. */
import type { Todo } from "../../../src/client/calls.ts"
import type { Live } from "../../../src/client/live/live.ts"
import {
  type LiveTodo,
  type Members,
  membersOf,
  namesOf,
  pick,
} from "../../../src/client/live/model.ts"
import { type Click, findLostClicks } from "./clicks.ts"
import { type Clock, createClock } from "./clock.ts"
import { type Credentials, createProfile, type Device, startDevice } from "./device.ts"
import type { Version } from "./history.ts"
import { createNetwork, type Service, TABOO } from "./network.ts"
import { createRandom, type Random } from "./random.ts"

const STEPS = 40
/** How long clients may take until they agree, in their time, once nothing goes wrong any more. */
const PATIENCE = 1_800_000

/** Sorted by id, because clients do not know the order of todos from the same millisecond. */
const inWords = (todos: readonly Todo[]) =>
  [...todos]
    .sort((a, b) => a.id - b.id)
    .map(
      ({ id, title, description, is_completed, updated_at }) =>
        `${id} ${title} (${description}) ${is_completed} ${updated_at}`,
    )
    .join(", ")

/** Undefined while edits are pending. */
const seenBy = (live: Live | undefined) =>
  live?.status().pending === 0 ? inWords(live.list()) : undefined

type Given = {
  service: Service
  seed: number
  credentials: Credentials
  /** Gets the todos from the service itself, not from a client. */
  list: () => Promise<Todo[]>
  history: () => Promise<Version[]>
}

/**
 * Clicks as a user does, and records the clicks in the order in which they were stored: two tabs
 * share a queue, where the later click may come first. A suspended tab hears late of what it has
 * stored, so the storage tells.
 */
const createUser = (seed: number, { chance, oneOf }: Random) => {
  const clicks: Click[] = []
  let names = 0
  const newName = () => `${seed}-${++names}`
  /** Sometimes empty, which the client refuses, or such that only a strict service does. */
  const newTitle = () => {
    if (chance(0.05)) return ""
    const name = newName()
    return names % 3 === 0 ? name + TABOO : name
  }

  const record = (device: Device, click: Omit<Click, "isStored">, stored: Promise<unknown>) => {
    const made: Click = { ...click, isStored: false }
    clicks.push(made)
    device.onceWritten(() => clicks.push(...clicks.splice(clicks.indexOf(made), 1)))
    stored.then(
      () => {
        made.isStored = true
      },
      () => {},
    )
  }

  const create = (device: Device, live: Live, profile: number) => {
    const todo = { title: newTitle(), description: newName(), is_completed: false }
    const stored = live.create(todo)
    const id = live.list().find(({ description }) => description === todo.description)?.id
    // It was refused at once.
    if (id === undefined) return void stored.catch(() => {})
    const marker = todo.description
    record(device, { op: "create", marker, profile, id, seen: undefined, base: {}, todo }, stored)
  }

  const changesTo = (todo: LiveTodo, marker: string): Partial<Members> => {
    const changes = {
      ...(chance(0.5) && { title: newTitle() }),
      ...(chance(0.3) && { description: `${marker} ${newName()}` }),
    }
    return Object.keys(changes).length === 0 || chance(0.3)
      ? { ...changes, is_completed: !todo.is_completed }
      : changes
  }

  const click = (device: Device, live: Live, profile: number) => {
    const shown = oneOf(live.list())
    const marker = shown?.description?.split(" ")[0]
    if (!shown || !marker || chance(0.25)) return create(device, live, profile)
    const { id, key, updated_at: seen } = shown
    const about = { marker, profile, id, seen }
    if (chance(0.12))
      return record(
        device,
        { ...about, op: "delete", base: membersOf(shown), todo: {} },
        live.delete(key),
      )
    const todo = changesTo(shown, marker)
    const stored = live.update(key, todo)
    if (todo.title === "") return void stored.catch(() => {})
    record(device, { ...about, op: "update", base: pick(shown, namesOf(todo)), todo }, stored)
  }
  return { clicks, click }
}

/** Waits until all clients show what the service has. Returns what still differs in the end. */
const findDifferences = async (
  devices: readonly Device[],
  list: () => Promise<Todo[]>,
  clock: Clock,
) => {
  const deadline = clock.now() + PATIENCE
  for (;;) {
    const there = inWords(await clock.during(list))
    const wrong = devices.flatMap((device, index) => {
      const seen = seenBy(device.live())
      return seen === there ? [] : [`client ${index} shows ${seen}, not ${there}`]
    })
    if (wrong.length === 0 || clock.now() > deadline) return wrong
    await clock.sleep(1_500)
  }
}

export const simulate = (given: Given) => {
  const clock = createClock()
  return clock.run(tell(given, clock))
}

const tell = async ({ service, seed, credentials, list, history }: Given, clock: Clock) => {
  const random = createRandom(seed)
  const { chance, below } = random
  const network = createNetwork()
  const profiles = [createProfile(0), createProfile(1), createProfile(2)] as const
  const homes = [profiles[0], profiles[0], profiles[1], profiles[1], profiles[2]]
  const hasLocks = chance(0.8)
  const hasLogOuts = seed % 3 === 2
  const isStrict = seed % 4 === 2
  const start = (profile: (typeof homes)[number]) =>
    startDevice({ service, network, random, clock, profile, hasLocks, isStrict }, credentials)
  const devices = await Promise.all(homes.map(start))
  const { clicks, click } = createUser(seed, random)
  /** How often JavaScript stopped in a tab that led others. */
  let stops = 0

  const goDown = async () => {
    network.isDown = true
    await clock.sleep(below(20_000))
    network.isDown = false
  }
  const happen = async (device: Device, index: number) => {
    const home = homes[index]
    const live = device.live()
    if (chance(0.04) && home) {
      device.kill()
      devices[index] = await start(home)
    } else if (chance(0.08)) device.setOnline(chance(0.5))
    else if (chance(0.03)) await device.loseAccess()
    else if (chance(0.02)) goDown()
    else if (hasLogOuts && chance(0.05)) device.logOut()
    else if (device.isSuspended()) {
      if (chance(0.3)) device.resume()
    } else if (chance(0.1)) {
      if (device.isLeading()) stops++
      device.suspend()
    } else if (live && home) click(device, live, home.index)
  }

  while (devices.some((device) => !device.live())) await clock.sleep(250)
  for (let step = 0; step < STEPS; step++) {
    const index = below(devices.length)
    const device = devices[index]
    if (device) await happen(device, index)
    if (chance(0.7)) await clock.sleep(below(1_000))
  }

  network.isHealed = true
  for (const device of devices) {
    device.resume()
    device.setOnline(true)
  }
  await Promise.all(network.underWay)
  const wrong = await findDifferences(devices, list, clock)
  const notices = profiles.map(
    ({ index }) =>
      devices[homes.findIndex((home) => home.index === index)]?.live()?.notices() ?? [],
  )
  const { authors, trace } = network
  const versions = await clock.during(history)
  wrong.push(...findLostClicks({ clicks, versions, authors, notices }))
  for (const device of devices) device.kill()
  return { wrong, clicks: clicks.length, told: notices.flat().length, stops, trace }
}
