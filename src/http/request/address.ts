/** Decides what is an IP address, in the configuration and in requests. */
import { isIP } from "node:net"
import ipaddr from "ipaddr.js"

/** Needs both: isIP accepts zones, which ipaddr.js cannot read; ipaddr.js accepts octal numbers. */
export const isAddress = (text: string) => isIP(text) !== 0 && ipaddr.isValid(text)
