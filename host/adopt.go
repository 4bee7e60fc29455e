package host

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

	"github.com/culvert-project/culvert/host/check"
	"github.com/culvert-project/culvert/host/config"
)

// Adopt brings the connectors that REST made in a data folder while its worker was alone, and what all of its
// connectors are to do, into the config topic that the worker's file names; then it moves their file into
// connectors.adopted there. Until then it may be repeated: what the topic has is not written again. It returns the
// names of the connectors that it wrote. The data folder is locked meanwhile, and no worker may be in the group: it
// writes as the leader does. startOver: connectors without offsets in the topics and groups of the file are taken, too.
func Adopt(ctx context.Context, c Config, startOver bool) (names []string, err error) {
	c.adopts = true
	err = offline(ctx, c, func(h *Host) error {
		if h.clustered == nil {
			return &SetupError{errors.New("expected the file of a worker that forms a group: with group.id, " +
				"config.storage.topic and status.storage.topic, and brokers other than the embedded one")}
		}
		names, err = h.adopt(ctx, startOver)
		return err
	})
	return names, err
}

func (h *Host) adopt(ctx context.Context, startOver bool) (names []string, err error) {
	w, store := h.in.Worker, h.clustered.store
	var problems config.Problems
	for _, k := range h.in.Connectors {
		problems = slices.Concat(problems, k.Problems, w.SharedProblems(k, check.Passwords(h.now().plugins)))
	}
	aside := filepath.Join(h.config.Data, "connectors.adopted")
	adopted := filepath.Join(aside, connectorsFile)
	if _, err := os.Stat(adopted); err == nil && len(h.in.Connectors) > 0 {
		problems = append(problems, config.Problem{File: adopted, Text: "expected nothing here, where the files of " +
			"what is adopted are moved: move it away"})
	}
	if err := problems.Err(); err != nil {
		return nil, &SetupError{err}
	}
	if err := h.clustered.log.LeadEmptyGroup(ctx); err != nil {
		return nil, err
	}
	topic, _ := store.Snapshot()
	var records []config.Record
	var other, fresh []string
	targets := h.targets.All()
	for _, k := range h.in.Connectors {
		delete(targets, k.Name)
		if i := slices.IndexFunc(topic.Connectors, func(t *config.Connector) bool { return t.Name == k.Name }); i >= 0 {
			if !maps.Equal(topic.Connectors[i].Raw(), k.Raw()) {
				other = append(other, k.Name)
			}
			continue // it was brought before
		}
		at, err := h.running.herder.Offsets(ctx, k.Name)
		if err != nil {
			return nil, fmt.Errorf("connector %s: %w", k.Name, err)
		}
		if len(at) == 0 {
			fresh = append(fresh, k.Name)
		}
		names = append(names, k.Name)
		records = append(records, config.TargetRecord(k.Name, h.targets.Get(k)),
			config.ConnectorRecord(k.Name, k.Raw()))
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) { // of connectors in files, which come with a folder
		if _, there := topic.ConfigOffsets[name]; !there && topic.Targets[name] == "" {
			records = append(records, config.TargetRecord(name, targets[name]))
		}
	}
	switch {
	case len(other) > 0:
		return nil, fmt.Errorf("expected no connectors of the same names and other settings in topic %s, found %s: "+
			"nothing was written; delete them in one of both", w.ConfigTopic(), strings.Join(other, ", "))
	case len(fresh) > 0 && !startOver:
		return nil, fmt.Errorf("expected offsets of all connectors in topic %s, or of their groups, found none of %s: "+
			"nothing was written. Is it the topic, and are they the brokers, that the worker had when it was alone? "+
			"--start-over takes them so, and they begin from the start", w.Text("offset.storage.topic"),
			strings.Join(fresh, ", "))
	}
	if _, err := store.Write(ctx, records...); err != nil {
		return nil, err
	}
	return names, h.moveTo(aside)
}

// moveTo moves the files that a group has adopted.
func (h *Host) moveTo(aside string) error {
	for _, name := range []string{connectorsFile, statesFile} {
		from := filepath.Join(h.config.Data, name)
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := errors.Join(os.MkdirAll(aside, 0o700), os.Rename(from, filepath.Join(aside, name))); err != nil {
			return err
		}
	}
	return nil
}
