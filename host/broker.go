package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/culvert-project/culvert/host/internal/base/away"
	"github.com/culvert-project/culvert/host/internal/base/pause"
	"github.com/culvert-project/culvert/host/kafka"
	"github.com/culvert-project/culvert/host/kafka/embedded"
	"github.com/culvert-project/culvert/host/kafka/security"
)

// openBroker opens the embedded broker where bootstrap.servers asks for it, or finds that which runs on the data folder
// already.
func (h *Host) openBroker(ctx context.Context, closing *closers) error {
	listen, here, err := kafka.EmbeddedListen(h.kafka.Bootstrap)
	if err != nil || !here {
		return err
	}
	if address, running := embedded.Find(ctx, h.config.Data); running {
		h.log.Info("using the embedded broker that runs on the data folder", "address", address, "data", h.config.Data)
		h.kafka.Bootstrap = []string{address}
		return nil
	}
	b, err := embedded.Open(embedded.Options{Dir: h.config.Data, Listen: listen, Logger: h.log})
	if err != nil {
		return err
	}
	closing.add(func() {
		if err := b.Close(); err != nil {
			h.log.Warn("embedded broker", "error", err)
		}
	})
	h.kafka.Bootstrap = []string{b.Addr()}
	return nil
}

// reachWithin is how long brokers are waited for at the start.
const reachWithin = 60 * time.Second

// reach waits until Kafka answers and returns the cluster's id.
func (h *Host) reach(ctx context.Context, admin *kafka.Admin) (string, error) {
	reaching, cancel := context.WithTimeout(ctx, reachWithin)
	defer cancel()
	var bootstrap away.Partner
	for {
		began := time.Now()
		err := h.kafka.Reach(reaching) // a Kafka client alone would only say that time is up
		if err == nil {
			bootstrap.Back(h.log, began, "a broker of bootstrap.servers answers now")
			return admin.ClusterID(reaching)
		}
		if denied := (*security.Denied)(nil); errors.As(err, &denied) {
			return "", fmt.Errorf("bootstrap.servers: %w", err)
		}
		bootstrap.Lost(h.log, began, "", "no broker of bootstrap.servers answers yet", "bootstrap.servers",
			strings.Join(h.kafka.Bootstrap, ","), "error", err)
		if pause.For(reaching, time.Second) != nil {
			return "", fmt.Errorf("bootstrap.servers: no broker answered within %s: %w", reachWithin, err)
		}
	}
}
