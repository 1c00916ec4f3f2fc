/** The log: one JSON line an event on standard output, made readable where that is a terminal. */
import pino from "pino"

export const createLog = (level: string) => pino({ level })
