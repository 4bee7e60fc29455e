package main

import (
	"embed"
	"io/fs"
	"reflect"
)

// embeddedPlugins holds the files of the built-in plugins that `make` built into plugins/. A clone that was never built
// has no such files.
//
//go:embed plugins
var embeddedPlugins embed.FS

func builtInPlugins() fs.FS {
	dir, err := fs.Sub(embeddedPlugins, "plugins")
	if err != nil {
		panic(err) // the name is a constant that exists
	}
	return builtInFiles{FS: dir}
}

// builtInFiles is a folder in the program. Reading a file maps its pages into memory, 20 MB for the built-in plugins,
// which are read once at each start; closing it unmaps them.
type builtInFiles struct{ fs.FS }

func (b builtInFiles) Open(name string) (fs.File, error) {
	file, err := b.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || info.IsDir() {
		return file, err
	}
	return &builtInFile{File: file}, nil
}

type builtInFile struct{ fs.File }

// Close closes the file and unmaps its content, which the system maps again if it is read again.
func (b *builtInFile) Close() error {
	_, _ = unmap(contentOf(b.File)) // after an error its pages stay mapped, which costs only memory
	return b.File.Close()
}

// contentOf returns the content of an open file of an [embed.FS] where the program has it, not a copy. It returns "" if
// package embed has other fields than in Go 1.26.
func contentOf(file fs.File) string {
	value := reflect.ValueOf(file)
	for _, field := range []string{"f", "data"} {
		if value.Kind() != reflect.Pointer || value.Elem().Kind() != reflect.Struct {
			return ""
		}
		value = value.Elem().FieldByName(field)
	}
	if value.Kind() != reflect.String {
		return ""
	}
	return value.String()
}
