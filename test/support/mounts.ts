/** Whether file systems may be mounted here: not every container may. */
export const canMount = Bun.spawnSync(
  ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
  {
    stderr: "ignore",
  },
).success
