package rest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/culvert-project/culvert/internal/connect"
	"github.com/culvert-project/culvert/internal/run/offset"
	"github.com/culvert-project/culvert/wit"
)

// committed applies the offsets for which the recorder waited. Those of a file source are recorded without a partition.
func (s *standInConnector) committed(contains map[string]any) {
	data, _ := json.Marshal(contains)
	var waited offsets
	if err := json.Unmarshal(data, &waited); err != nil {
		panic(err)
	}
	s.offsets = map[string]offset.Entry{}
	for _, e := range waited.Offsets {
		if e.Partition == nil {
			e.Partition = []wit.OffsetEntry{wit.StringEntry("filename", s.config["file"])}
		}
		s.set(offset.Entry{Partition: e.Partition, Offset: e.Offset})
	}
}

func (s *standInConnector) set(e offset.Entry) {
	name := offset.Identity(e.Partition)
	if e.Offset == nil {
		delete(s.offsets, name)
		return
	}
	if s.offsets == nil {
		s.offsets = map[string]offset.Entry{}
	}
	s.offsets[name] = e
}

func (s *standIn) Offsets(_ context.Context, name string) (all []offset.Entry, err error) {
	k := s.connectors[name]
	if k == nil {
		return nil, connect.ErrUnknownConnector
	}
	for _, id := range slices.Sorted(maps.Keys(k.offsets)) {
		all = append(all, k.offsets[id])
	}
	return all, nil
}

// AlterOffsets expects offsets of Kafka's file connectors.
func (s *standIn) AlterOffsets(_ context.Context, name string, entries []offset.Entry) error {
	k, err := s.stopped(name)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if k.plugin.Type == "sink" {
			place, err := offset.ParseSinkPosition(e)
			if err != nil {
				return err
			}
			if place.Topic != "osnk" || place.Partition != 0 {
				return errors.New("there is no such partition")
			}
			entries[i] = place.Entry()
			if place.Offset < 0 {
				entries[i].Offset = nil
			}
			continue
		}
		if _, ok := wit.Lookup(e.Partition, "filename"); !ok {
			return errors.New("expected a filename")
		}
		position, _ := wit.Lookup(e.Offset, "position")
		if e.Offset != nil && (position.Integer == nil || *position.Integer < 0) {
			return errors.New("expected a position")
		}
	}
	for _, e := range entries {
		k.set(e)
	}
	return nil
}

func (s *standIn) ResetOffsets(_ context.Context, name string) error {
	k, err := s.stopped(name)
	if err == nil {
		clear(k.offsets)
	}
	return err
}

// stopped returns a connector whose offsets may be changed.
func (s *standIn) stopped(name string) (*standInConnector, error) {
	k := s.connectors[name]
	switch {
	case k == nil:
		return nil, connect.ErrUnknownConnector
	case k.state != connect.Stopped:
		return nil, connect.ErrNotStopped
	}
	return k, nil
}
