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

// setOffsets applies the offsets for which the recorder waited. Offsets of a file source are recorded without a
// partition.
func (s *standInConnector) setOffsets(contains map[string]any) {
	data, _ := json.Marshal(contains)
	var body offsets
	if err := json.Unmarshal(data, &body); err != nil {
		panic(err)
	}
	s.offsets = map[string]offset.Entry{}
	for _, e := range body.Offsets {
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

func (s *standIn) Offsets(_ context.Context, name string) (entries []offset.Entry, err error) {
	connector := s.connectors[name]
	if connector == nil {
		return nil, connect.ErrUnknownConnector
	}
	for _, id := range slices.Sorted(maps.Keys(connector.offsets)) {
		entries = append(entries, connector.offsets[id])
	}
	return entries, nil
}

// AlterOffsets expects offsets of Kafka's file connectors.
func (s *standIn) AlterOffsets(_ context.Context, name string, entries []offset.Entry) error {
	connector, err := s.stoppedConnector(name)
	if err != nil {
		return err
	}
	for i, e := range entries {
		if connector.plugin.Type == "sink" {
			position, err := offset.ParseSinkPosition(e)
			if err != nil {
				return err
			}
			if position.Topic != "osnk" || position.Partition != 0 {
				return errors.New("there is no such partition")
			}
			entries[i] = position.Entry()
			if position.Offset < 0 {
				entries[i].Offset = nil
			}
			continue
		}
		if _, ok := wit.Lookup(e.Partition, "filename"); !ok {
			return errors.New("expected a filename")
		}
		filePosition, _ := wit.Lookup(e.Offset, "position")
		if e.Offset != nil && (filePosition.Integer == nil || *filePosition.Integer < 0) {
			return errors.New("expected a position")
		}
	}
	for _, e := range entries {
		connector.set(e)
	}
	return nil
}

func (s *standIn) ResetOffsets(_ context.Context, name string) error {
	connector, err := s.stoppedConnector(name)
	if err == nil {
		clear(connector.offsets)
	}
	return err
}

// stoppedConnector returns a connector whose offsets may be changed.
func (s *standIn) stoppedConnector(name string) (*standInConnector, error) {
	connector := s.connectors[name]
	switch {
	case connector == nil:
		return nil, connect.ErrUnknownConnector
	case connector.state != connect.Stopped:
		return nil, connect.ErrNotStopped
	}
	return connector, nil
}
