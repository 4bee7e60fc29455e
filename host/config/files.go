package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Files are the files of an installation.
type Files struct {
	// Worker is the worker's file, "" for none.
	Worker string
	// Connectors, one file each.
	Connectors []string
}

// Folder finds the files in a folder: worker.properties or worker.yaml is the worker's, every other .properties or .json file a
// connector's. Other files and folders inside are left alone.
func Folder(dir string) (Files, error) {
	var f Files
	found, err := os.ReadDir(dir)
	if err != nil {
		return f, err
	}
	for _, entry := range found {
		name, path := entry.Name(), filepath.Join(dir, entry.Name())
		if entry.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		switch {
		case slices.Contains([]string{"worker.properties", "worker.yaml", "worker.yml"}, name):
			if f.Worker != "" {
				return f, fmt.Errorf("expected one worker file in %s, found %s and %s", dir, filepath.Base(f.Worker), name)
			}
			f.Worker = path
		case slices.Contains([]string{".properties", ".json"}, filepath.Ext(name)):
			f.Connectors = append(f.Connectors, path)
		}
	}
	return f, nil
}

// Arguments sorts files named on a command line: as with Kafka's connect-standalone the first is the worker's, unless it is a
// connector's.
func Arguments(files []string) (Files, error) {
	if len(files) == 0 {
		return Files{}, nil
	}
	entries, _, err := ReadFile(files[0])
	if err != nil {
		return Files{}, err
	}
	if IsConnector(entries) {
		return Files{Connectors: files}, nil
	}
	return Files{Worker: files[0], Connectors: files[1:]}, nil
}

// Installation is a worker with its connectors as they were read.
type Installation struct {
	Worker     *Worker
	Connectors []*Connector
}

// Load reads the files, with the environment as os.Environ gives it and flags by setting name. The error is for files that cannot
// be read; everything else is a problem.
func Load(files Files, environ []string, flags map[string]string) (*Installation, Problems, error) {
	worker, problems, err := LoadWorker(files.Worker, environ, flags)
	if err != nil {
		return nil, nil, err
	}
	in := &Installation{Worker: worker}
	names := map[string]string{}
	for _, file := range files.Connectors {
		c, more, err := LoadConnector(file, worker.Providers)
		if err != nil {
			return nil, nil, err
		}
		problems = append(problems, more...)
		if before, ok := names[c.Name]; ok {
			e, _ := c.Entry("name")
			problems = append(problems, Problem{File: file, Line: max(e.Line, 1), Setting: "name",
				Text: fmt.Sprintf("expected a name that is not taken, found %q, which %s has", c.Name, before)})
		}
		names[c.Name] = file
		in.Connectors = append(in.Connectors, c)
	}
	return in, problems, nil
}
