package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/lock"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/base/wholefile"
)

const announcementFile = "broker.json"

// announcement is the content of broker.json, by which commands find a running broker.
type announcement struct {
	Address string    `json:"address"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
}

func writeAnnouncement(dir string, a announcement) error {
	content, err := json.Marshal(a)
	if err == nil {
		err = wholefile.Write(filepath.Join(dir, announcementFile), append(content, '\n'))
	}
	if err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	return nil
}

const folderFileBytes = 64 << 10

// readAnnouncement returns !ok without a readable announcement.
func readAnnouncement(dir string) (a announcement, ok bool) {
	content, err := wholefile.Read(filepath.Join(dir, announcementFile), folderFileBytes)
	if err != nil || json.Unmarshal(content, &a) != nil || a.Address == "" {
		return announcement{}, false
	}
	return a, true
}

// Find returns the address of the broker that runs on a folder, after checking that it has the folder's cluster ID.
func Find(ctx context.Context, dir string) (addr string, running bool) {
	a, ok := readAnnouncement(dir)
	wantID := folderClusterID(dir)
	if !ok || wantID == "" {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(a.Address), kgo.RequestRetries(0),
		kgo.DialTimeout(time.Second), kgo.DisableClientMetrics())
	if err != nil {
		return "", false
	}
	defer client.Close()
	id, err := ClusterID(ctx, client)
	if err != nil || id != wantID {
		return "", false
	}
	return a.Address, true
}

// Attach returns the address of the broker that runs on a folder with data, or opens one there until done is called.
func Attach(ctx context.Context, dir string, log *slog.Logger) (addr string, done func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if addr, running := Find(ctx, dir); running {
			return addr, func() error { return nil }, nil
		}
		if folderClusterID(dir) == "" {
			return "", nil, fmt.Errorf("no embedded broker runs on %s, and it contains no broker data", dir)
		}
		b, err := Open(Options{Dir: dir, Listen: "127.0.0.1:0", Hidden: true, Logger: log})
		if err == nil {
			return b.Addr(), b.Close, nil
		}
		if !errors.Is(err, errLocked) {
			return "", nil, err
		}
		if pause.For(ctx, 100*time.Millisecond) != nil {
			return "", nil, err
		}
	}
}

// folderClusterID returns "" for a folder without data.
func folderClusterID(dir string) string {
	var meta struct {
		ClusterID string `json:"cluster_id"`
	}
	content, err := wholefile.Read(filepath.Join(dir, "broker", "meta.json"), folderFileBytes)
	if err != nil || json.Unmarshal(content, &meta) != nil {
		return ""
	}
	return meta.ClusterID
}

// ClusterID returns the ID of the cluster of a client, "" if its brokers have none.
func ClusterID(ctx context.Context, client *kgo.Client) (string, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // no topics; nil would request all
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return "", fmt.Errorf("cluster id: %w", err)
	}
	if response.ClusterID == nil {
		return "", nil
	}
	return *response.ClusterID, nil
}

var errLocked = errors.New("another process has locked it")

func lockFolder(dir string) (*lock.Lock, error) {
	l, err := lock.Acquire(filepath.Join(dir, "broker.lock"))
	switch {
	case err == nil:
		return l, nil
	case !errors.Is(err, lock.ErrLocked):
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	owner := ""
	if a, ok := readAnnouncement(dir); ok {
		owner = fmt.Sprintf(" (process %d, listening on %s)", a.PID, a.Address)
	}
	return nil, fmt.Errorf("embedded broker: the folder %s is in use: %w%s", dir, errLocked, owner)
}
