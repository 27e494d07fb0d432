// Package config reads larder.yaml: one file for the command, its proxy, and any program that uses larder.
//
//	c, err := config.Load("/etc/myprogram/larder.yaml")
//	…
//	cache, end, err := c.OpenCache(ctx, &config.Drivers{Open: …}) // sqlite, redis and others; memory and disk need none
//	…
//	defer end(ctx)
//
// docs/config.md describes the file, and so does the JSON Schema in [Schema]. All that is wrong with a file is reported
// at once, by file, line and field: see [Faults]. No error holds a password.
package config
