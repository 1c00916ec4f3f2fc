/** Engines of regular expressions differ: each compiles the document's patterns, and matches alike. */
import { expect, test } from "bun:test"
import { join } from "node:path"
import { startApp } from "../support/app.ts"
import { temporaryDirectory } from "../support/temporary.ts"

/** Each prints the patterns that match each sample, as JSON. Go and Java get both as lines. */
const programs = {
  python3: {
    file: "patterns.py",
    source: `
import json, re
patterns, samples = (open(name).read().split("\\n") for name in ("patterns", "samples"))
print(json.dumps([[bool(re.search(p, s)) for p in patterns] for s in samples]))
`,
    command: ["python3", "patterns.py"],
  },
  go: {
    file: "patterns.go",
    source: `package main

import ("encoding/json"; "fmt"; "os"; "regexp"; "strings")

func lines(name string) []string {
	text, _ := os.ReadFile(name)
	return strings.Split(string(text), "\\n")
}

func main() {
	var all [][]bool
	for _, sample := range lines("samples") {
		var found []bool
		for _, pattern := range lines("patterns") {
			found = append(found, regexp.MustCompile(pattern).MatchString(sample))
		}
		all = append(all, found)
	}
	text, _ := json.Marshal(all)
	fmt.Println(string(text))
}
`,
    command: ["go", "run", "patterns.go"],
  },
  java: {
    file: "Patterns.java",
    source: `
import java.nio.file.*;
import java.util.*;
import java.util.regex.Pattern;

class Patterns {
  static List<String> lines(String name) throws Exception {
    return Arrays.asList(Files.readString(Path.of(name)).split("\\n", -1));
  }
  public static void main(String[] arguments) throws Exception {
    var all = new ArrayList<List<Boolean>>();
    for (var sample : lines("samples")) {
      var found = new ArrayList<Boolean>();
      for (var pattern : lines("patterns")) found.add(Pattern.compile(pattern).matcher(sample).find());
      all.add(found);
    }
    System.out.println(all);
  }
}
`,
    command: ["java", "Patterns.java"],
  },
} as const

const findPatterns = (value: unknown): string[] =>
  typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([name, inner]) =>
        name === "pattern" && typeof inner === "string" ? [inner] : findPatterns(inner),
      )
    : []

const samples = [
  ...["", " ", "Buy milk", "ada@example.org", "a da@example.org", "@", "a@b@c", "zoë@example.org"],
  ...[
    "2026-01-03T09:30:00.123Z",
    "2026-01-03t09:30:00+01:00",
    "2026-01-03",
    "\u0007@\u007f",
    "\u0085",
  ],
]

for (const [name, { file, source, command }] of Object.entries(programs)) {
  const isThere = Bun.which(name) !== null
  if (!isThere) console.log(`no ${name} on this machine: its engine was not tried`)
  test.if(isThere)(`the document's patterns mean the same to ${name}`, async () => {
    await using app = await startApp()
    using directory = temporaryDirectory()
    const { body } = await app.call("GET", "/openapi.json")
    const patterns = [...new Set(findPatterns(body))]
    expect(patterns.length).toBeGreaterThan(3)
    const expected = samples.map((sample) =>
      patterns.map((pattern) => new RegExp(pattern).test(sample)),
    )
    expect(
      samples.map((sample) => patterns.map((pattern) => new RegExp(pattern, "u").test(sample))),
    ).toEqual(expected)
    await Bun.write(join(directory.path, file), source)
    await Bun.write(join(directory.path, "patterns"), patterns.join("\n"))
    await Bun.write(join(directory.path, "samples"), samples.join("\n"))
    const child = Bun.spawn([...command], { cwd: directory.path, stderr: "inherit" })
    expect(JSON.parse(await child.stdout.text())).toEqual(expected)
  })
}
