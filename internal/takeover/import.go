package takeover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/configtopic"
	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/group"
	"github.com/culvert-project/culvert/internal/resolved"
	"github.com/culvert-project/culvert/internal/setup"
)

// Source is a worker without a group whose connectors are imported.
type Source struct {
	*setup.Installation
	Stored config.Snapshot // the connectors that REST created, and all target states
	Herder *connect.Herder
	Group  *group.Worker
}

// ImportIntoGroup writes the connectors that REST created in a data folder, and all target states, to the group's
// config topic, then moves their file into connectors.adopted. Until then it may be repeated. It returns the names of
// the written connectors. The group must have no members. Unless startOver is set, each connector must have offsets.
func ImportIntoGroup(ctx context.Context, source Source, startOver bool) (names []string, err error) {
	var problems config.Problems
	for _, connector := range source.Connectors {
		problems = slices.Concat(problems, connector.Problems,
			source.Worker.SharedProblems(connector, resolved.Passwords(source.Plugins)))
	}
	folder := filepath.Join(source.Config.Data, "connectors.adopted")
	adoptedFile := filepath.Join(folder, setup.StoredFile)
	if _, err := os.Stat(adoptedFile); err == nil && len(source.Connectors) > 0 {
		problems = append(problems, config.Problem{File: adoptedFile,
			Text: "expected no such file, because the adopted connectors' files are moved here: move it elsewhere"})
	}
	if err := problems.Err(); err != nil {
		return nil, &setup.Error{Cause: err}
	}
	if err := source.Group.LeadEmptyGroup(ctx); err != nil {
		return nil, err
	}
	names, records, err := importRecords(ctx, source, startOver)
	if err != nil {
		return nil, err
	}
	if _, err := source.Group.Store().Write(ctx, records...); err != nil {
		return nil, err
	}
	return names, moveTo(folder, source.Config.Data)
}

// importRecords returns the records of connectors and target states that the config topic does not have yet, with the
// names of these connectors.
func importRecords(ctx context.Context, source Source,
	startOver bool) (names []string, records []configtopic.Record, err error) {
	topic, _ := source.Group.Store().Snapshot()
	var differing, withoutOffsets []string
	targets := maps.Clone(source.Stored.Targets)
	for _, connector := range source.Connectors {
		delete(targets, connector.Name)
		hasName := func(c *config.Connector) bool { return c.Name == connector.Name }
		if i := slices.IndexFunc(topic.Connectors, hasName); i >= 0 {
			if !maps.Equal(topic.Connectors[i].Raw(), connector.Raw()) {
				differing = append(differing, connector.Name)
			}
			continue // an earlier import wrote it
		}
		offsets, err := source.Herder.Offsets(ctx, connector.Name)
		if err != nil {
			return nil, nil, fmt.Errorf("connector %s: %w", connector.Name, err)
		}
		if len(offsets) == 0 {
			withoutOffsets = append(withoutOffsets, connector.Name)
		}
		names = append(names, connector.Name)
		records = append(records, configtopic.TargetRecord(connector.Name, source.Stored.Target(connector)),
			configtopic.ConnectorRecord(connector.Name, connector.Raw()))
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) { // of connectors in a folder, which are not imported
		if _, ok := topic.ConfigOffsets[name]; !ok && topic.Targets[name] == "" {
			records = append(records, configtopic.TargetRecord(name, targets[name]))
		}
	}
	switch {
	case len(differing) > 0:
		return nil, nil, fmt.Errorf("expected no connectors of the same names and other settings in topic %s, found "+
			"%s: nothing was written; delete them in one of the two places", source.Worker.ConfigTopic(),
			strings.Join(differing, ", "))
	case len(withoutOffsets) > 0 && !startOver:
		return nil, nil, fmt.Errorf("expected offsets of all connectors in topic %s, or of their groups, found none "+
			"of %s: nothing was written. Check that the topic and the brokers are those that the worker used alone. "+
			"--start-over imports these connectors anyway, and they begin from the start",
			source.Worker.Text("offset.storage.topic"), strings.Join(withoutOffsets, ", "))
	}
	return names, records, nil
}

func moveTo(folder, data string) error {
	from := filepath.Join(data, setup.StoredFile)
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(os.MkdirAll(folder, 0o700), os.Rename(from, filepath.Join(folder, setup.StoredFile)))
}
