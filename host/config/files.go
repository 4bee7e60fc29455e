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
	// Folder is where the connectors' files were found, "" where each was named. In a folder a bad file stops its own
	// connector alone; of files that were named all run or none, as with Kafka's standalone worker.
	Folder string
	// REST has the connectors that were made by REST, nil where they do not count. Any other connector goes before one
	// of the same name in it.
	REST *ConnectorsFile
}

// workerNames are the names of the worker's file in a folder.
var workerNames = []string{"worker.properties", "worker.yaml", "worker.yml"}

// UsesFolder reports whether a folder is the one of the connectors' files, or holds a file of a connector that was
// named, by whatever path or link it was given. The worker's file counts if its name is not that of a worker's file, so
// that [ListFolder] would return it as a connector's. A folder that does not exist is not used.
func (f Files) UsesFolder(folder string) bool {
	info, err := os.Stat(folder)
	if err != nil {
		return false
	}
	used, paths := []string{f.Folder}, slices.Clone(f.Connectors)
	if f.Worker != "" && !slices.Contains(workerNames, filepath.Base(f.Worker)) {
		paths = append(paths, f.Worker)
	}
	for _, path := range paths {
		used = append(used, filepath.Dir(path))
		if target, err := filepath.EvalSymlinks(path); err == nil {
			used = append(used, filepath.Dir(target))
		}
	}
	return slices.ContainsFunc(used, func(dir string) bool {
		other, err := os.Stat(dir)
		return err == nil && os.SameFile(info, other)
	})
}

// endings are those of connectors' files in a folder.
var endings = []string{".properties", ".json", ".yaml", ".yml"}

// ListFolder finds the files in a folder: worker.properties or worker.yaml is the worker's, every other .properties,
// .json, .yaml or .yml file a connector's, be it a folder of that name: Docker makes one where a file to mount is
// missing. Files of tests ([IsTestFile]), other files and folders inside are left alone.
func ListFolder(dir string) (Files, error) {
	f := Files{Folder: dir}
	found, err := os.ReadDir(dir)
	if err != nil {
		return f, err
	}
	for _, entry := range found {
		name, path := entry.Name(), filepath.Join(dir, entry.Name())
		switch {
		case strings.HasPrefix(name, "."), IsTestFile(name):
		case slices.Contains(workerNames, name):
			if f.Worker != "" {
				return f, fmt.Errorf("expected one worker file in %s, found %s and %s", dir, filepath.Base(f.Worker),
					name)
			}
			f.Worker = path
		case slices.Contains(endings, strings.ToLower(filepath.Ext(name))):
			f.Connectors = append(f.Connectors, path)
		}
	}
	return f, nil
}

// IsTestFile tells whether a name is that of a file of tests, which stand among connectors' files: `culvert test` runs
// them, and a worker leaves them alone.
func IsTestFile(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "_test.yaml") || strings.HasSuffix(name, "_test.yml")
}

// ParseArguments sorts files named on a command line: as with Kafka's connect-standalone the first is the worker's,
// unless it is a connector's.
func ParseArguments(files []string) (Files, error) {
	var connector bool
	for i, file := range files {
		entries, _, err := ReadFile(file)
		if err != nil {
			return Files{}, err
		}
		if i == 0 {
			connector = isConnector(entries)
		}
	}
	if len(files) == 0 || connector {
		return Files{Connectors: files}, nil
	}
	return Files{Worker: files[0], Connectors: files[1:]}, nil
}

// Installation is a worker with its connectors as they were read.
type Installation struct {
	Worker *Worker
	// Connectors have names that differ.
	Connectors []*Connector
	// Shadowed are warnings of connectors made by REST that others of their names go before.
	Shadowed Problems
}

// Problems are those of the connectors.
func (in *Installation) Problems() Problems {
	var problems Problems
	for _, c := range in.Connectors {
		problems = append(problems, c.Problems...)
	}
	return problems
}

// Load reads the files, with the environment as os.Environ gives it and flags by setting name. The error is for a
// worker's file that cannot be read; the problems are the worker's, and each connector has its own.
func Load(files Files, environ []string, flags map[string]string) (*Installation, Problems, error) {
	worker, problems, err := LoadWorker(files.Worker, environ, flags)
	if err != nil {
		return nil, nil, err
	}
	in := &Installation{Worker: worker}
	in.Connectors, in.Shadowed = LoadConnectors(files, worker.Providers)
	return in, problems, nil
}

// LoadConnectors reads the connectors alone, for a worker that has these providers; hidden are as in [Installation].
func LoadConnectors(files Files, providers *Providers) (all []*Connector, hidden Problems) {
	var connectors, made []*Connector
	for _, file := range files.Connectors {
		connectors = append(connectors, loadAny(file, providers))
	}
	if files.REST != nil {
		for _, name := range files.REST.Names() {
			made = append(made, files.REST.connector(name, providers))
		}
	}
	return layered(connectors, made)
}

// IsRESTConnector reports whether a connector was made by REST, and has no file.
func (f Files) IsRESTConnector(c *Connector) bool { return f.REST.holds(c) }

// loadAny is [LoadConnector] where a file that cannot be read is a connector with that problem.
func loadAny(file string, providers *Providers) *Connector {
	c, _, err := LoadConnector(file, providers)
	if err != nil {
		c = &Connector{File: file, Problems: Problems{{File: file, Text: strings.TrimPrefix(err.Error(), file+": ")}}}
	}
	if _, given := c.Get("name"); !given && c.Problems.Err() != nil {
		// What its author calls it is not known: it must not be taken for another file's.
		c.Name = filepath.Base(file)
	}
	return c
}

// namedApart leaves one connector of each name, the first.
func namedApart(connectors []*Connector) (apart []*Connector) {
	named := map[string][]*Connector{}
	for _, c := range connectors {
		named[c.Name] = append(named[c.Name], c)
		if len(named[c.Name]) == 1 {
			apart = append(apart, c)
		}
	}
	for _, c := range apart {
		clash(named[c.Name])
	}
	return apart
}

// clash makes one connector that must not run, the first, of several that have one name: offsets belong to the name,
// and nobody knows which of them is meant.
func clash(same []*Connector) {
	if len(same) == 1 {
		return
	}
	var files []string
	for _, c := range same {
		files = append(files, c.File)
	}
	var problems Problems
	for _, c := range same {
		e, ok := c.Entry("name")
		if !ok {
			e = Entry{Key: "name", File: c.File, Line: 1}
		}
		problems = append(problems, c.Problems...)
		problems = append(problems,
			e.problem("expected a name that no other connector has, found %q in %s: none of them runs, "+
				"since offsets belong to the name", c.Name, strings.Join(files, " and ")))
	}
	same[0].Problems = problems
}
