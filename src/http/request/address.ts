/** What counts as an IP address, wherever one is written. */
import { isIP } from "node:net"
import ipaddr from "ipaddr.js"

/** Both are asked: isIP takes zones that ipaddr.js cannot read, and that takes octal numbers. */
export const isAddress = (text: string) => isIP(text) !== 0 && ipaddr.isValid(text)
