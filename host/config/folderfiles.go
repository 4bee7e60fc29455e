package config

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Put keeps a connector that REST makes or has made; the configuration of one that has a file is an [ReadOnlyError]. It
// holds as it was written when Put returns.
//
// A target state is kept before the connector is written, so that what is to be stopped never runs; if it cannot be
// written the state is again what it was: a connector of that name that comes later has its own.
func (s *FolderStore) Put(_ context.Context, name string, stored Stored) error {
	undo := func() error { return nil }
	if stored.Target != "" {
		var err error
		if undo, err = s.places.TargetStates.try(name, stored.Target); err != nil {
			return err
		}
	}
	if stored.Connector == nil {
		s.kicks.Ring()
		return nil
	}
	if err := s.put(name, stored); err != nil {
		return errors.Join(err, undo())
	}
	return nil
}

func (s *FolderStore) put(name string, stored Stored) error {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	if err := s.hasFile(name); err != nil {
		return err
	}
	settings := stored.Connector.Raw()
	settings["name"] = name
	if err := s.places.REST.put(name, settings, stored.IfMatch); err != nil {
		return err
	}
	s.seen.made[name] = s.places.REST.connector(name, s.worker.Providers)
	s.wrote()
	return nil
}

// CheckWritable implements [Store].
func (s *FolderStore) CheckWritable(name, file string) error {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	if err := s.hasFile(name); err != nil || file == "" || file == s.places.REST.place(name) {
		return err
	}
	return s.keptIn(name, file) // it runs on as it was, while its file holds something else or is away
}

// hasFile is an [ReadOnlyError] if a connector has a file; s.seen is locked.
func (s *FolderStore) hasFile(name string) error {
	for _, c := range s.places.Files {
		if c.Name == name {
			return &ReadOnlyError{name, c.File, "which was named when the worker was started"}
		}
	}
	for path, f := range s.seen.files {
		if f.loaded != nil && f.loaded.Name == name {
			return s.keptIn(name, path)
		}
	}
	return nil
}

func (s *FolderStore) keptIn(name, file string) error {
	return &ReadOnlyError{name, file, "in the folder of connectors (--config)"}
}

// Delete removes a connector that REST has made, and forgets its target state. A connector that has a file is an
// [ReadOnlyError].
func (s *FolderStore) Delete(_ context.Context, name string) error {
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	if err := s.hasFile(name); err != nil {
		return err
	}
	if s.seen.made[name] == nil {
		return fmt.Errorf("expected connector %s to be one that was made by REST", name)
	}
	if err := s.places.REST.remove(name); err != nil {
		return err
	}
	delete(s.seen.made, name)
	s.wrote()
	return s.places.TargetStates.Forget(name)
}

// wrote notes that connectors are others now; s.seen is locked.
func (s *FolderStore) wrote() {
	s.mu.Lock()
	s.writes++
	s.news = true
	s.mu.Unlock()
	s.kicks.Ring()
}

// ReadOnlyError is the error of a change by REST of a connector that has a file.
type ReadOnlyError struct {
	Connector, File, Reason string
}

func (e *ReadOnlyError) Error() string {
	return fmt.Sprintf("Connector %s is kept in %s, %s: change it there", e.Connector, e.File, e.Reason)
}

// ChangedError is the error of a change that is to be made of another version than the one that is stored.
type ChangedError struct{ Connector string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("Connector %s was changed meanwhile, and nothing was written: expected the version that the "+
		"request names (If-Match, If-None-Match); read it again, and change what it is now", e.Connector)
}

// TooLargeError is the error of a configuration that is too large to be stored.
type TooLargeError struct{ text string }

func (e *TooLargeError) Error() string { return e.text }

// ReadText is the text of a connector's file of properties as it is at the moment; nil if the file has another form.
func ReadText(path string) ([]byte, error) {
	if !strings.EqualFold(filepath.Ext(path), ".properties") {
		return nil, nil
	}
	data, err := ReadRegular(path)
	if err == nil {
		data, err = decoded(data)
	}
	if err != nil || isJSON(data) {
		return nil, err
	}
	return data, nil
}
