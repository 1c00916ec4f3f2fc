/** The load: wrk, or else autocannon, sends the requests; the kernel says what they cost a server. */
import { readFileSync } from "node:fs"
import { join } from "node:path"

export type Load = {
  /** A file of whole HTTP requests, with a NUL between them. */
  file: string
  /** What {n} stands for in the first request. */
  firstNumber: number
  connections: number
  seconds: number
  /** How long a connection waits before a request, on average. Without it: not at all. */
  pauseMs?: number
}

export type Measured = {
  requests: number
  perSecond: number
  /** Milliseconds. */
  p50: number
  p99: number
  /** Microseconds of the server process, all its threads, in user and kernel mode. */
  cpu: number
  /** Mebibytes that are resident afterwards. */
  memory: number
  /** How many answers had a status of 400 or more. */
  refused: number
}

/** Milliseconds. proc(5): fields 14 and 15, in ticks of 10 ms. */
export const cpuTime = (pid: number) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10
}

const residentMemory = (pid: number) =>
  Number(readFileSync(`/proc/${pid}/status`, "utf8").match(/VmRSS:\s+(\d+)/)?.[1]) / 1024

const here = import.meta.dir

/** Both print what they counted as JSON in their last line. */
const generator = (url: string, load: Load): string[] => {
  const { file, firstNumber, connections, seconds, pauseMs } = load
  if (Bun.which("wrk")) {
    const wrk = ["wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "30s"]
    wrk.push("-s", join(here, "load.lua"))
    return [...wrk, url, "--", file, `${firstNumber}`, ...(pauseMs ? [`${pauseMs}`] : [])]
  }
  if (pauseMs) throw new Error("This needs wrk (apt-get install wrk)")
  const script = join(here, "autocannon/load.js")
  return ["node", script, url, file, `${firstNumber}`, `${connections}`, `${seconds}`]
}

export const drive = async (url: string, pids: number[], load: Load): Promise<Measured> => {
  const before = pids.map(cpuTime)
  const process = Bun.spawn(generator(url, load), { stdout: "pipe", stderr: "inherit" })
  const output = await process.stdout.text()
  const spent = pids.reduce((sum, pid, i) => sum + cpuTime(pid) - (before[i] ?? 0), 0)
  const line = output.trim().split("\n").at(-1) ?? ""
  const { requests, seconds: took, broken, ...rest } = JSON.parse(line)
  if (broken > 0) throw new Error(`${broken} connections to ${url} broke`)
  return {
    ...rest,
    requests,
    perSecond: requests / took,
    cpu: (spent * 1000) / requests,
    memory: pids.reduce((sum, pid) => sum + residentMemory(pid), 0),
  }
}
