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

	"github.com/culvert-project/culvert/host/internal/base/lock"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/internal/base/wholefile"
)

// announcementFile in a broker's folder says where it listens, for as long as it does.
const announcementFile = "broker.json"

type announcement struct {
	Address string    `json:"address"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
}

func announce(dir string, a announcement) error {
	text, err := json.Marshal(a)
	if err == nil {
		err = wholefile.Write(filepath.Join(dir, announcementFile), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("embedded broker: %w", err)
	}
	return nil
}

// folderFileBytes is how large files of the folder are at most that are read to know the broker, in bytes.
const folderFileBytes = 64 << 10

func announced(dir string) (announcement, bool) {
	var a announcement
	text, err := wholefile.Read(filepath.Join(dir, announcementFile), folderFileBytes)
	if err != nil || json.Unmarshal(text, &a) != nil || a.Address == "" {
		return announcement{}, false
	}
	return a, true
}

// Find is the address of the embedded broker that runs on a folder. A broker.json that a killed broker left
// after does not count: whoever answers there must be the broker of this folder.
func Find(ctx context.Context, dir string) (addr string, running bool) {
	a, ok := announced(dir)
	expected := folderClusterID(dir)
	if !ok || expected == "" {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(a.Address), kgo.RequestRetries(0), kgo.DialTimeout(time.Second),
		kgo.DisableClientMetrics())
	if err != nil {
		return "", false
	}
	defer client.Close()
	id, err := ClusterID(ctx, client)
	if err != nil || id != expected {
		return "", false
	}
	return a.Address, true
}

// Attach gives access to the data of an embedded broker: to the one that runs on the folder, else by opening the
// folder for the time until done is called. While somebody is only just opening or closing it, Attach waits, at
// most 10 s. A folder without a broker's data is an error and stays as it is.
func Attach(ctx context.Context, dir string, log *slog.Logger) (addr string, done func() error, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		if addr, running := Find(ctx, dir); running {
			return addr, func() error { return nil }, nil
		}
		if folderClusterID(dir) == "" {
			return "", nil, fmt.Errorf("no embedded broker runs on %s, and it holds no data of one", dir)
		}
		b, err := Open(Options{Dir: dir, Listen: "127.0.0.1:0", Unannounced: true, Logger: log})
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

// folderClusterID is the id under which kfake keeps the folder's data, "" where there is none.
func folderClusterID(dir string) string {
	var meta struct {
		ClusterID string `json:"cluster_id"`
	}
	text, err := wholefile.Read(filepath.Join(dir, "broker", "meta.json"), folderFileBytes)
	if err != nil || json.Unmarshal(text, &meta) != nil {
		return ""
	}
	return meta.ClusterID
}

// ClusterID is the id of the cluster that a client talks to.
func ClusterID(ctx context.Context, client *kgo.Client) (string, error) {
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // none; nil would be all
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return "", fmt.Errorf("cluster id: %w", err)
	}
	if response.ClusterID == nil {
		return "", nil
	}
	return *response.ClusterID, nil
}

// errLocked is in the error of [Open] when another broker has the folder.
var errLocked = errors.New("another culvert has it")

// lockFolder keeps other brokers out of a folder.
func lockFolder(dir string) (*lock.Lock, error) {
	l, err := lock.Acquire(filepath.Join(dir, "broker.lock"))
	switch {
	case err == nil:
		return l, nil
	case !errors.Is(err, lock.ErrLocked):
		return nil, fmt.Errorf("embedded broker: %w", err)
	}
	who := ""
	if a, ok := announced(dir); ok {
		who = fmt.Sprintf(" (process %d, listening on %s)", a.PID, a.Address)
	}
	return nil, fmt.Errorf("embedded broker: the folder %s is in use: %w%s", dir, errLocked, who)
}
