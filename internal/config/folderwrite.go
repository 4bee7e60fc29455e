package config

import (
	"context"
	"fmt"
)

// Put stores a connector created by REST, or a target state; for a connector with a file it returns a [ReadOnlyError].
func (s *FolderStore) Put(ctx context.Context, name string, stored Stored) error {
	if stored.Connector != nil {
		if err := s.checkNoFile(name); err != nil {
			return err
		}
	}
	return s.locations.Stored.Put(ctx, name, stored)
}

// Delete deletes a connector created by REST and its target state.
func (s *FolderStore) Delete(ctx context.Context, name string) error {
	if err := s.checkNoFile(name); err != nil {
		return err
	}
	if s.stored(name) == nil {
		return fmt.Errorf("expected connector %s to be one that was created by REST", name)
	}
	return s.locations.Stored.Delete(ctx, name)
}

// CheckWritable implements [Store].
func (s *FolderStore) CheckWritable(name, file string) error {
	if err := s.checkNoFile(name); err != nil || file == "" {
		return err
	}
	if stored := s.stored(name); stored != nil && stored.File == file {
		return nil
	}
	return s.readOnly(name, file) // it continues unchanged while its file is missing or has another connector
}

// stored returns a connector that REST created, nil if there is none.
func (s *FolderStore) stored(name string) *Connector {
	if s.locations.Stored == nil {
		return nil
	}
	snapshot, _ := s.locations.Stored.Snapshot()
	for _, connector := range snapshot.Connectors {
		if connector.Name == name {
			return connector
		}
	}
	return nil
}

func (s *FolderStore) checkNoFile(name string) error {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
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
