/** An nginx before some instances, as one would be set up for them. */
import { join } from "node:path"
import { temporaryDirectory } from "./temporary.ts"

const configuration = (directory: string, port: number, upstreams: number[]) => `
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
  upstream todo_api {
${upstreams.map((upstream) => `    server 127.0.0.1:${upstream} max_fails=0;`).join("\n")}
    keepalive 32;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://todo_api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_connect_timeout 1s;
      # A write may be repeated: it carries an Idempotency-Key.
      proxy_next_upstream error timeout non_idempotent;
    }
  }
}
`

export const startNginx = async (port: number, upstreams: number[]) => {
  const directory = temporaryDirectory()
  const file = join(directory.path, "nginx.conf")
  await Bun.write(file, configuration(directory.path, port, upstreams))
  const nginx = Bun.spawn(["nginx", "-p", directory.path, "-c", file, "-e", "stderr"], {
    stdio: ["ignore", "ignore", "inherit"],
  })
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      nginx.kill("SIGTERM")
      await nginx.exited
      directory[Symbol.dispose]()
    },
  }
}
