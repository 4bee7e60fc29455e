package offset

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// Sorted returns all offsets of a connector, by partition. If some cannot be read, it returns the others with an error.
func (s *Store) Sorted(ctx context.Context, connector string) ([]Entry, error) {
	entries, err := s.All(ctx, connector)
	slices.SortFunc(entries, func(a, b Entry) int {
		return bytes.Compare(AppendJSON(nil, a.Partition), AppendJSON(nil, b.Partition))
	})
	return entries, err
}

// Alter writes offsets of a connector whose tasks do not run. A nil Offset deletes. It calls Refresh first, so that a
// key keeps its bytes in the topic.
func (s *Store) Alter(ctx context.Context, connector string, entries ...Entry) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	// The last entry of a partition counts. Concurrent writes of one key would leave the wrong one in memory.
	lastIndex := map[string]int{}
	for i, e := range entries {
		lastIndex[Identity(e.Partition)] = i
	}
	var unique []Entry
	for i, e := range entries {
		if lastIndex[Identity(e.Partition)] == i {
			unique = append(unique, e)
		}
	}
	return s.Set(ctx, connector, unique...)
}

// Reset deletes all offsets of a connector whose tasks do not run, also those that cannot be read.
func (s *Store) Reset(ctx context.Context, connector string) error {
	entries, err := s.partitions(ctx, connector)
	if err != nil {
		return err
	}
	if s.worker != nil { // also delete the worker's offsets, because Get would return them
		workerEntries, err := s.worker.partitions(ctx, connector)
		if err != nil {
			return err
		}
		entries = append(entries, workerEntries...)
	}
	return s.Set(ctx, connector, entries...)
}

func (s *Store) partitions(ctx context.Context, connector string) (entries []Entry, err error) {
	if err := s.Load(ctx, connector); err != nil {
		return nil, err
	}
	if err := s.Refresh(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.entries {
		if e.connector == connector && (e.offset != nil || e.err != nil) {
			entries = append(entries, Entry{Partition: e.partition})
		}
	}
	return entries, nil
}

// RelativeToOrigin replaces absolute URLs of an origin, such as https://host:8443, with paths and queries, because the
// original connector stored absolute next links. Other values stay; readers reject URLs of other origins.
func RelativeToOrigin(fields []wit.OffsetEntry, origin string) []wit.OffsetEntry {
	base, err := url.Parse(origin)
	if err != nil || base.Host == "" {
		return fields
	}
	var changed []wit.OffsetEntry
	for i, f := range fields {
		if f.Value.String == nil || !strings.Contains(*f.Value.String, "://") {
			continue
		}
		u, err := url.Parse(*f.Value.String)
		if err != nil || u.User != nil || !strings.EqualFold(u.Scheme, base.Scheme) ||
			!strings.EqualFold(u.Hostname(), base.Hostname()) || portOf(u) != portOf(base) {
			continue
		}
		_, address, _ := strings.Cut(*f.Value.String, "://") // not u, which has lost the escapes
		path := ""
		if start := strings.IndexAny(address, "/?#"); start >= 0 {
			path = address[start:]
		}
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		if changed == nil {
			changed = slices.Clone(fields)
		}
		changed[i] = wit.StringEntry(f.Name, path)
	}
	if changed == nil {
		return fields
	}
	return changed
}

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}
