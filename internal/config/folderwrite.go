package config

import (
	"context"
	"errors"
	"fmt"
)

// Put stores a connector created by REST; for one with a file it returns a [ReadOnlyError]. A target state is stored
// first, so that a connector to be stopped never runs, and restored if the connector cannot be stored.
func (s *FolderStore) Put(_ context.Context, name string, stored Stored) error {
	undo := func() error { return nil }
	if stored.Target != "" {
		var err error
		if undo, err = s.locations.TargetStates.setWithUndo(name, stored.Target); err != nil {
			return err
		}
	}
	if stored.Connector == nil {
		s.notify.Ring()
		return nil
	}
	if err := s.put(name, stored); err != nil {
		return errors.Join(err, undo())
	}
	return nil
}

func (s *FolderStore) put(name string, stored Stored) error {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if err := s.checkNoFile(name); err != nil {
		return err
	}
	settings := stored.Connector.Raw()
	settings["name"] = name
	if err := s.locations.REST.put(name, settings, stored.IfMatch); err != nil {
		return err
	}
	s.state.rest[name] = s.locations.REST.connector(name, s.worker.Providers)
	s.markWritten()
	return nil
}

// CheckWritable implements [Store].
func (s *FolderStore) CheckWritable(name, file string) error {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if err := s.checkNoFile(name); err != nil || file == "" || file == s.locations.REST.location(name) {
		return err
	}
	return s.readOnly(name, file) // it continues unchanged while its file is missing or has another connector
}

func (s *FolderStore) checkNoFile(name string) error {
	for _, connector := range s.locations.Files {
		if connector.Name == name {
			return &ReadOnlyError{Connector: name, File: connector.File,
				Reason: "which was named when the worker was started"}
		}
	}
	for path, file := range s.state.files {
		if file.loaded != nil && file.loaded.Name == name {
			return s.readOnly(name, path)
		}
	}
	return nil
}

func (s *FolderStore) readOnly(name, file string) error {
	return &ReadOnlyError{Connector: name, File: file, Reason: "in the folder of connectors (--config)"}
}

// Delete deletes a connector created by REST and its target state.
func (s *FolderStore) Delete(_ context.Context, name string) error {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	if err := s.checkNoFile(name); err != nil {
		return err
	}
	if s.state.rest[name] == nil {
		return fmt.Errorf("expected connector %s to be one that was created by REST", name)
	}
	if err := s.locations.REST.remove(name); err != nil {
		return err
	}
	delete(s.state.rest, name)
	s.markWritten()
	return s.locations.TargetStates.Forget(name)
}

// markWritten makes earlier snapshots stale and requests a scan. The caller does not hold mu.
func (s *FolderStore) markWritten() {
	s.mu.Lock()
	s.revision++
	s.written = true
	s.mu.Unlock()
	s.notify.Ring()
}

// ReadOnlyError is returned if REST changes a connector that has a file.
type ReadOnlyError struct {
	Connector string
	File      string
	Reason    string
}

func (e *ReadOnlyError) Error() string {
	return fmt.Sprintf("Connector %s is kept in %s, %s: change it there", e.Connector, e.File, e.Reason)
}

// ChangedError is returned for a change of another version than the stored one.
type ChangedError struct{ Connector string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("Connector %s has changed in the meantime, and nothing was written: expected the version of "+
		"the request (If-Match, If-None-Match); read the connector again and repeat the change", e.Connector)
}

// TooLargeError is returned for a configuration that is too large to be stored.
type TooLargeError struct{ Text string }

func (e *TooLargeError) Error() string { return e.Text }

// ReadText returns the text of a connector's properties file, nil if the file has another format.
func ReadText(path string) ([]byte, error) {
	data, err := ReadRegular(path)
	if err == nil {
		data, err = decodeText(data)
	}
	if err != nil || !isProperties(path, data) {
		return nil, err
	}
	return data, nil
}
