/** Debian's PgBouncer in transaction mode, before a cluster: it knows no prepared statements. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { clusterDirectory } from "./cluster.ts"
import { freePort } from "./ports.ts"

export const startPooler = (
  directory: ReturnType<typeof clusterDirectory>,
  port: number,
  setting = "",
) => {
  const own = freePort()
  const file = join(directory.path, "pgbouncer.ini")
  const settings = [
    ...[
      "[databases]",
      `* = host=127.0.0.1 port=${port} user=todo`,
      "[pgbouncer]",
      "pool_mode = transaction",
    ],
    ...[`listen_port = ${own}`, "listen_addr = 127.0.0.1", "unix_socket_dir =", "auth_type = any"],
    ...["default_pool_size = 4", setting],
  ]
  writeFileSync(file, settings.join("\n"))
  const pooler = Bun.spawn(["/usr/sbin/pgbouncer", file], {
    ...directory.account,
    stdio: ["ignore", "ignore", "ignore"],
  })
  return { url: `postgres://todo@127.0.0.1:${own}/postgres`, stop: () => pooler.kill() }
}
