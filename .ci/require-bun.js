// Says which Bun is needed, in words that an older one understands: it would complain of the lock file.
const { readFileSync } = require("node:fs")
const { join } = require("node:path")

const manifest = JSON.parse(readFileSync(join(__dirname, "..", "package.json"), "utf8"))
const wanted = manifest.engines.bun.replace(">=", "")
const found = process.versions.bun

const parts = (version) => version.split(".").map((part) => Number.parseInt(part, 10))
const isOlder = parts(found)
  .map((part, i) => part - parts(wanted)[i])
  .find((difference) => difference !== 0)

if (isOlder < 0) {
  console.error(`todo-api needs Bun ${wanted} or newer; this is ${found}.`)
  console.error(`Get it with "bun upgrade" or "npm install --global bun@${wanted}".`)
  process.exit(1)
}
