// Package config reads larder.yaml: one file for the command, its proxy, and any program that uses larder.
//
//	c, err := config.Load("/etc/myprogram/larder.yaml")
//	…
//	cache, end, err := c.OpenCache(ctx, &config.Drivers{Open: …}) // sqlite, redis and others; memory and disk need none
//	…
//	defer end(ctx)
//
// What the file may hold is in docs/config.md, and as JSON Schema in [Schema]. What is wrong with it is told by file,
// line and field, all of it at once: see [Faults]. No error holds a password.
package config
