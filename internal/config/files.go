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
	Worker     string // the worker's file, empty if there is no such file
	Connectors []string
	// Folder is set if the files were found in a folder: an invalid file stops only its own connector. Of named files
	// all run or none, as with Kafka's standalone worker.
	Folder string
}

var workerNames = []string{"worker.properties", "worker.yaml", "worker.yml"}

var fileExtensions = []string{".properties", ".json", ".yaml", ".yml"}

// ListFolder finds the files in a folder: worker.properties or worker.yaml is the worker's; every other .properties,
// .json, .yaml or .yml is a connector's, even a folder, which Docker creates for a missing mount. Test files
// ([IsTestFile]), other files and subfolders are ignored.
func ListFolder(dir string) (Files, error) {
	files := Files{Folder: dir}
	dirEntries, err := os.ReadDir(dir)
	if err != nil {
		return files, err
	}
	for _, entry := range dirEntries {
		name := entry.Name()
		path := filepath.Join(dir, entry.Name())
		switch {
		case strings.HasPrefix(name, "."), IsTestFile(name): // no configuration
		case slices.Contains(workerNames, name):
			if files.Worker != "" {
				return files, fmt.Errorf("expected one worker file in %s, found %s and %s", dir,
					filepath.Base(files.Worker), name)
			}
			files.Worker = path
		case slices.Contains(fileExtensions, strings.ToLower(filepath.Ext(name))):
			files.Connectors = append(files.Connectors, path)
		}
	}
	return files, nil
}

// IsTestFile reports whether a name belongs to a file of tests, which `culvert test` runs.
func IsTestFile(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "_test.yaml") || strings.HasSuffix(name, "_test.yml")
}

// ParseArguments sorts files named on a command line: the first is the worker's, unless it is a connector's.
func ParseArguments(files []string) (Files, error) {
	var firstIsConnector bool
	for i, file := range files {
		entries, _, err := ReadFile(file)
		if err != nil {
			return Files{}, err
		}
		if i == 0 {
			firstIsConnector = isConnector(entries)
		}
	}
	if len(files) == 0 || firstIsConnector {
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
	for _, connector := range in.Connectors {
		problems = append(problems, connector.Problems...)
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
	connectors := uniqueNames(loadAll(files.Connectors, worker.Providers))
	return &Installation{Worker: worker, Connectors: connectors}, problems, nil
}

// AddStored adds connectors that REST created, unless a file has their name.
func (in *Installation) AddStored(connectors []*Connector) {
	in.Connectors, in.Shadowed = mergeConnectors(in.Connectors, connectors)
}

// loadAll reads the files of connectors. A file of secrets to which several connectors refer is read once.
func loadAll(files []string, providers *Providers) []*Connector {
	read := make([]connectorFile, len(files))
	entries := make([][]Entry, len(files))
	for i, file := range files {
		read[i] = readConnectorFile(file)
		entries[i] = read[i].entries
	}
	references := providers.newReferences(entries...)
	connectors := make([]*Connector, len(files))
	for i, file := range files {
		if err := read[i].err; err != nil {
			connectors[i] = &Connector{File: file,
				Problems: Problems{{File: file, Text: strings.TrimPrefix(err.Error(), file+": ")}}}
		} else {
			connectors[i] = read[i].connector(references)
		}
		if _, isSet := connectors[i].Get("name"); !isSet && connectors[i].Problems.Err() != nil {
			// Its real name is unknown; it must not be the name of another file's connector.
			connectors[i].Name = filepath.Base(file)
		}
	}
	return connectors
}

// uniqueNames returns the first connector of each name. A name of several connectors is a problem, see reportClash.
func uniqueNames(connectors []*Connector) (distinct []*Connector) {
	named := map[string][]*Connector{}
	for _, connector := range connectors {
		named[connector.Name] = append(named[connector.Name], connector)
		if len(named[connector.Name]) == 1 {
			distinct = append(distinct, connector)
		}
	}
	for _, connector := range distinct {
		reportClash(named[connector.Name])
	}
	return distinct
}

// reportClash adds a problem to the first of several connectors with one name, of which none runs: offsets are by name.
func reportClash(namesakes []*Connector) {
	if len(namesakes) == 1 {
		return
	}
	var files []string
	for _, connector := range namesakes {
		files = append(files, connector.File)
	}
	var problems Problems
	for _, connector := range namesakes {
		entry, ok := connector.Entry("name")
		if !ok {
			entry = Entry{Key: "name", File: connector.File, Line: 1}
		}
		problems = append(problems, connector.Problems...)
		problems = append(problems,
			entry.Problem("expected a name that no other connector has, found %q in %s: none of them runs, because "+
				"offsets belong to the name", connector.Name, strings.Join(files, " and ")))
	}
	namesakes[0].Problems = problems
}
