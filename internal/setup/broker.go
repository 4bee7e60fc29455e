package setup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/culvert-project/culvert/internal/base/away"
	"github.com/culvert-project/culvert/internal/base/pause"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// OpenBroker opens the embedded broker if bootstrap.servers requests it, or finds one that runs on the data folder.
func (in *Installation) OpenBroker(ctx context.Context, cleanup *Cleanup) error {
	listen, isEmbedded, err := kafka.EmbeddedListen(in.Kafka.Bootstrap)
	if err != nil || !isEmbedded {
		return err
	}
	if address, running := embedded.Find(ctx, in.Config.Data); running {
		in.Log.Info("using the embedded broker that runs on the data folder", "address", address,
			"data", in.Config.Data)
		in.Kafka.Bootstrap = []string{address}
		return nil
	}
	b, err := embedded.Open(embedded.Options{Dir: in.Config.Data, Listen: listen, Logger: in.Log})
	if err != nil {
		return err
	}
	cleanup.Add(func() {
		if err := b.Close(); err != nil {
			in.Log.Warn("the embedded broker could not be closed", "error", err)
		}
	})
	in.Kafka.Bootstrap = []string{b.Addr()}
	return nil
}

const reachTimeout = 60 * time.Second

// Reach waits until Kafka answers, and returns the ID of the cluster.
func (in *Installation) Reach(ctx context.Context, admin *kafka.Admin) (string, error) {
	reaching, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	var bootstrap away.Partner
	for {
		began := time.Now()
		err := in.Kafka.CheckReachable(reaching) // a Kafka client would only report a timeout
		if err == nil {
			bootstrap.Back(in.Log, began, "a broker of bootstrap.servers answers now")
			return admin.ClusterID(reaching)
		}
		if errors.As(err, new(*security.Denied)) { // waiting does not help
			return "", fmt.Errorf("bootstrap.servers: %w", err)
		}
		const anyReason = "" // one warning for all
		bootstrap.Lost(in.Log, began, anyReason, "no broker of bootstrap.servers answers yet", "bootstrap.servers",
			strings.Join(in.Kafka.Bootstrap, ","), "error", err)
		if pause.For(reaching, time.Second) != nil {
			return "", fmt.Errorf("bootstrap.servers: no broker answered within %s: %w", reachTimeout, err)
		}
	}
}
