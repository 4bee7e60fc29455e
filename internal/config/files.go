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
	Worker     string // the worker's file, empty if there is none
	Connectors []string
	// Folder is set if the files were found in a folder: an invalid file stops its own connector alone. Of named files
	// all run or none, as with Kafka's standalone worker.
	Folder string
	REST   *ConnectorsFile
}

var workerNames = []string{"worker.properties", "worker.yaml", "worker.yml"}

// UsesFolder reports whether connectors' files are in a folder, by whatever path or link. A worker's file counts if
// [ListFolder] would return it as a connector's.
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

var fileExtensions = []string{".properties", ".json", ".yaml", ".yml"}

// ListFolder finds the files in a folder: worker.properties or worker.yaml is the worker's; every other .properties,
// .json, .yaml or .yml is a connector's, even a folder, which Docker creates for a missing mount. Test files
// ([IsTestFile]), other files and subfolders are ignored.
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
		case slices.Contains(fileExtensions, strings.ToLower(filepath.Ext(name))):
			f.Connectors = append(f.Connectors, path)
		}
	}
	return f, nil
}

// IsTestFile reports whether a name belongs to a file of tests, which `culvert test` runs.
func IsTestFile(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "_test.yaml") || strings.HasSuffix(name, "_test.yml")
}

// ParseArguments sorts files named on a command line: the first is the worker's, unless it is a connector's.
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
	Worker     *Worker
	Connectors []*Connector // Connectors have unique names
	Shadowed   Problems     // warnings about connectors created by REST that a file of the same name overrides
}

// Problems returns the problems of all connectors.
func (in *Installation) Problems() Problems {
	var problems Problems
	for _, c := range in.Connectors {
		problems = append(problems, c.Problems...)
	}
	return problems
}

// Load reads the files, with the environment as os.Environ returns it and flags by setting name. It only fails if the
// worker's file cannot be read; the problems are the worker's.
func Load(files Files, environ []string, flags map[string]string) (*Installation, Problems, error) {
	worker, problems, err := LoadWorker(files.Worker, environ, flags)
	if err != nil {
		return nil, nil, err
	}
	in := &Installation{Worker: worker}
	in.Connectors, in.Shadowed = LoadConnectors(files, worker.Providers)
	return in, problems, nil
}

// LoadConnectors reads the connectors for a worker with these providers; shadowed is as in [Installation].
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
	return mergeConnectors(connectors, made)
}

// IsRESTConnector reports whether REST created the connector, so that it has no file.
func (f Files) IsRESTConnector(c *Connector) bool { return f.REST.contains(c) }

func loadAny(file string, providers *Providers) *Connector {
	c, _, err := LoadConnector(file, providers)
	if err != nil {
		c = &Connector{File: file, Problems: Problems{{File: file, Text: strings.TrimPrefix(err.Error(), file+": ")}}}
	}
	if _, given := c.Get("name"); !given && c.Problems.Err() != nil {
		// Its real name is unknown; it must not be taken for another file's.
		c.Name = filepath.Base(file)
	}
	return c
}

func uniqueNames(connectors []*Connector) (apart []*Connector) {
	named := map[string][]*Connector{}
	for _, c := range connectors {
		named[c.Name] = append(named[c.Name], c)
		if len(named[c.Name]) == 1 {
			apart = append(apart, c)
		}
	}
	for _, c := range apart {
		reportClash(named[c.Name])
	}
	return apart
}

// reportClash adds a problem to the first of several connectors with one name: offsets belong to the name, so none
// runs.
func reportClash(same []*Connector) {
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
