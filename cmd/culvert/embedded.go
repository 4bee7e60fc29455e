package main

import (
	"embed"
	"io/fs"
)

// built holds the built-in plugins as `make` left them in plugins/: none in a clone that was never built.
//
//go:embed plugins
var built embed.FS

// builtIn is the folder of the built-in plugins.
func builtIn() fs.FS {
	dir, err := fs.Sub(built, "plugins")
	if err != nil {
		panic(err) // the name is a constant that exists
	}
	return dir
}
