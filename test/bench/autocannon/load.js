/** What load.lua is to wrk, where there is no wrk: the same requests, and the same last line. */
import { readFileSync } from "node:fs"
import autocannon from "autocannon"

const [url, file, firstNumber, connections, seconds] = process.argv.slice(2)

const parse = (text) => {
  const [head, body] = text.split("\r\n\r\n", 2)
  const [line, ...fields] = head.split("\r\n")
  const [method, path] = line.split(" ")
  const headers = Object.fromEntries(fields.map((field) => field.split(/: (.*)/s, 2)))
  return { method, path, headers, body }
}
const requests = readFileSync(file, "utf8").split("\0").map(parse)

let turn = 0
let number = Number(firstNumber)
const nextRequest = (request) => {
  const { method, path, headers, body } = requests[turn++ % requests.length]
  const current = String(number++)
  const numbered = (text) => text.replaceAll("{n}", current)
  const entries = Object.entries(headers).map(([name, value]) => [name, numbered(value)])
  return {
    ...request,
    method,
    path: numbered(path),
    headers: Object.fromEntries(entries),
    body: body && numbered(body),
  }
}

const result = await autocannon({
  url,
  connections: Number(connections),
  duration: Number(seconds),
  requests: [{ setupRequest: nextRequest }],
})
console.log(
  JSON.stringify({
    requests: result.requests.total,
    seconds: result.duration,
    refused: result["4xx"] + result["5xx"],
    broken: result.errors,
    p50: result.latency.p50,
    p99: result.latency.p99,
  }),
)
