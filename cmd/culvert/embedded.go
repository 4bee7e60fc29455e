package main

import (
	"embed"
	"io/fs"
	"reflect"
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
	return builtInFiles{dir}
}

// builtInFiles is a folder in the program. Reading a file maps its pages into memory, 20 MB for the built-in plugins,
// which are read once at each start; closing it unmaps them.
type builtInFiles struct{ fs.FS }

// Open opens a file or a folder.
func (b builtInFiles) Open(name string) (fs.File, error) {
	opened, err := b.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := opened.Stat(); err != nil || info.IsDir() {
		return opened, err
	}
	return &builtInFile{opened}, nil
}

// builtInFile is an open file in the program.
type builtInFile struct{ fs.File }

// Close closes the file and unmaps its content, which the system maps again if it is read again.
func (b *builtInFile) Close() error {
	_, _ = unmap(contentOf(b.File)) // else its pages stay mapped
	return b.File.Close()
}

// contentOf returns the content of an open file of an [embed.FS] where the program has it, not a copy. It returns "" if
// package embed has other fields than in Go 1.26.
func contentOf(opened fs.File) string {
	file := reflect.ValueOf(opened)
	for _, field := range []string{"f", "data"} {
		if file.Kind() != reflect.Pointer || file.Elem().Kind() != reflect.Struct {
			return ""
		}
		file = file.Elem().FieldByName(field)
	}
	if file.Kind() != reflect.String {
		return ""
	}
	return file.String()
}
