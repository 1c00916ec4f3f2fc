/** An nginx before some instances, by the block that the documentation gives: only addresses differ. */
import { join } from "node:path"
import { temporaryDirectory } from "./temporary.ts"

const root = join(import.meta.dir, "../..")

const documented = async () => {
  const pages = await Promise.all(
    ["README.md", ".deploy/README.md"].map((page) => Bun.file(join(root, page)).text()),
  )
  const [block, ...others] = pages.flatMap((text) =>
    [...text.matchAll(/```nginx\n(.*?)```/gs)].map(([, inner = ""]) => inner),
  )
  if (block === undefined || others.length > 0) throw new Error("Not one block for nginx")
  return block
}

/** The block names two instances, on lines of their own. */
const INSTANCES = /^( *server )10\.0\.0\.1:8000(.*;).*\n *server 10\.0\.0\.2:8000\2$/m

const configuration = (directory: string, block: string) => `
daemon off;
master_process off;
pid ${directory}/pid;
error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
${block}
}
`

const isListening = (port: number) =>
  Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).then(
    (socket) => {
      socket.end()
      return true
    },
    () => false,
  )

/** By a block of its own. */
export const startNginxWith = async (port: number, block: string) => {
  const directory = temporaryDirectory()
  const file = join(directory.path, "nginx.conf")
  await Bun.write(file, configuration(directory.path, block))
  const nginx = Bun.spawn(["nginx", "-p", directory.path, "-c", file, "-e", "stderr"], {
    stdio: ["ignore", "ignore", "inherit"],
  })
  while (nginx.exitCode === null && !(await isListening(port))) await Bun.sleep(20)
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      nginx.kill("SIGTERM")
      await nginx.exited
      directory[Symbol.dispose]()
    },
  }
}

export const startNginx = async (port: number, upstreams: number[]) => {
  const block = await documented()
  if (!INSTANCES.test(block)) throw new Error(`Not the instances that were expected: ${block}`)
  return startNginxWith(
    port,
    block
      .replace(INSTANCES, (_, server, rest) =>
        upstreams.map((upstream) => `${server}127.0.0.1:${upstream}${rest}`).join("\n"),
      )
      .replace("listen 80;", `listen 127.0.0.1:${port};`),
  )
}
