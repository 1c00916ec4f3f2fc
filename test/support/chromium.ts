/** A browser for tests of pages: Debian's Chromium. Another one: `CHROMIUM=/path bun run test:system`. */
import { chromium } from "playwright-core"

export const launchChromium = () =>
  chromium.launch({
    // A slow machine is no failure: the limit of the test ends what hangs.
    timeout: 0,
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      // As root, in a container, and calling nobody by itself.
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
      // A page that a test makes up comes from no address, and may call the service on this machine.
      "--disable-features=LocalNetworkAccessChecks",
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    ],
  })
