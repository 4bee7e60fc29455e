package doctor

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/config"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Settings checks the connector's settings together with what the service says, as culvert validate --online does.
func (v *Diagnosis) Settings(ctx context.Context, k kafka.Config, tool *check.Tool) {
	v.runStep("settings", func() (string, error) {
		for _, p := range tool.CheckOnline(ctx, k, stepWithin) {
			if !p.Warning || p.Code == setting.CodeNotChecked {
				return "", &fixHint{p.Setting, "", errors.New(check.Message(p))}
			}
		}
		return "", nil
	})
}

// Topics asks the brokers whether the clients of a connector may write to its topics, or read them.
func (v *Diagnosis) Topics(ctx context.Context, k kafka.Config, tool *check.Tool) {
	k, err := tool.Kafka(ctx, k)
	if err != nil {
		v.record("clients of the connector", 0, "", err)
		return
	}
	all := tool.Topics()
	for _, right := range []kmsg.ACLOperation{kmsg.ACLOperationWrite, kmsg.ACLOperationRead} {
		var names []string
		by := map[string]string{}
		for _, t := range all {
			if t.Read == (right == kmsg.ACLOperationRead) {
				names, by[t.Name] = append(names, t.Name), t.Setting
			}
		}
		if len(names) == 0 || v.failed {
			continue
		}
		slices.Sort(names)
		start := time.Now()
		asking, cancel := context.WithTimeout(ctx, stepWithin)
		err := kafka.Rights(asking, k, right, names, func(topic, note string, err error) {
			if err != nil {
				err = &fixHint{by[topic], "", err}
			}
			v.record("topic "+topic, time.Since(start), note, err)
		})
		cancel()
		if err != nil {
			v.record("topics", time.Since(start), "", err)
		}
	}
}

// Registries asks the schema registries of a connector's converters, with the worker's where the connector has none.
func (v *Diagnosis) Registries(ctx context.Context, w *config.Worker, tool *check.Tool) {
	if v.failed {
		return
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, stepWithin)
	defer cancel()
	tool.PingRegistries(ctx, w, func(setting, at string, err error) {
		if err != nil {
			err = &fixHint{setting, "", err}
		}
		v.record("schema registry "+at, time.Since(start), "", err)
		start = time.Now()
	})
}
