/** The page at /docs: without inline scripts, so that its policy can be strict; with relative addresses, for any prefix. */

/** Scalar's colours with a contrast of at least 4.5:1 (WCAG 2), where its own have less. */
const customCss = `
.light-mode {
  --scalar-color-2: #5f5f5f; --scalar-color-3: #6b6b6b; --scalar-color-green: #04724d;
  --scalar-color-red: #c70005; --scalar-color-blue: #0068a8; --scalar-color-orange: #b33e00;
  --scalar-color-yellow: #7d6200;
}
.dark-mode { --scalar-color-3: #9a9a9a; --scalar-color-red: #ff7a7d; }
`

/** The configuration of Scalar: https://scalar.com/products/api-references/configuration */
const configuration = {
  url: "openapi.json",
  layout: "modern",
  theme: "default",
  customCss,
  // Turns off what would ask other hosts: fonts, telemetry, and the vendor's own services.
  withDefaultFonts: false,
  telemetry: false,
  hideClientButton: true,
  showDeveloperTools: "never",
  agent: { disabled: true },
  mcp: { disabled: true },
  defaultOpenFirstTag: true,
  defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
  authentication: { preferredSecurityScheme: "bearerAuth" },
  documentDownloadType: "direct",
}

const attribute = (value: string) => value.replaceAll("&", "&amp;").replaceAll('"', "&quot;")

const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' fill='%230f766e'/%3E%3Cpath d='m4 8.5 3 3 5.5-7' fill='none' stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E"

export const page = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Todo API</title>
    <link rel="icon" href="${icon}">
  </head>
  <body>
    <noscript>The API reference needs JavaScript; the document is <a href="openapi.json">openapi.json</a>.</noscript>
    <script id="api-reference" data-configuration="${attribute(JSON.stringify(configuration))}"></script>
    <script src="docs/scalar.js"></script>
  </body>
</html>
`

/**
 * Before Scalar's script. Zod, a library in it, would try to compile code, which the policy forbids. And the
 * server is where the page was found: Scalar would take a relative one of the document without its prefix.
 */
export const prelude = `globalThis.__zod_globalConfig = { jitless: true };
{
  const { dataset } = document.getElementById("api-reference")
  const servers = [{ url: new URL(".", location).href.slice(0, -1) }]
  dataset.configuration = JSON.stringify({ ...JSON.parse(dataset.configuration), servers })
}
`
