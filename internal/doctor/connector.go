package doctor

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/check"
	"github.com/culvert-project/culvert/internal/kafka"
	"github.com/culvert-project/culvert/sdk/go/setting"
)

// Settings checks the connector's settings with its service, as culvert validate --online does.
func (d *Diagnosis) Settings(ctx context.Context, kafkaConfig kafka.Config, tool *check.Tool) {
	d.runStep("settings", func() (string, error) {
		for _, p := range tool.CheckOnline(ctx, kafkaConfig, stepTimeout) {
			if !p.Warning || p.Code == setting.CodeNotChecked {
				return "", &hintError{p.Setting, "", errors.New(check.Message(p))}
			}
		}
		return "", nil
	})
}

// Topics reports whether the clients of a connector have the rights to write and read its topics.
func (d *Diagnosis) Topics(ctx context.Context, kafkaConfig kafka.Config, tool *check.Tool) {
	kafkaConfig, err := tool.Kafka(ctx, kafkaConfig)
	if err != nil {
		d.record("clients of the connector", 0, "", err)
		return
	}
	topics := tool.Topics()
	for _, right := range []kmsg.ACLOperation{kmsg.ACLOperationWrite, kmsg.ACLOperationRead} {
		var names []string
		settings := map[string]string{}
		for _, t := range topics {
			if t.Read == (right == kmsg.ACLOperationRead) {
				names = append(names, t.Name)
				settings[t.Name] = t.Setting
			}
		}
		if len(names) == 0 || d.hasFailed {
			continue
		}
		slices.Sort(names)
		start := time.Now()
		stepCtx, cancel := context.WithTimeout(ctx, stepTimeout)
		err := kafka.CheckRights(stepCtx, kafkaConfig, right, names, func(topic, note string, err error) {
			if err != nil {
				err = &hintError{settings[topic], "", err}
			}
			d.record("topic "+topic, time.Since(start), note, err)
		})
		cancel()
		if err != nil {
			d.record("topics", time.Since(start), "", err)
		}
	}
}

// Registries checks the schema registries of the connector's converters, or of the worker's if it has no converters.
func (d *Diagnosis) Registries(ctx context.Context, tool *check.Tool) {
	if d.hasFailed {
		return
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	tool.PingRegistries(ctx, func(setting, address string, err error) {
		if err != nil {
			err = &hintError{setting, "", err}
		}
		d.record("schema registry "+address, time.Since(start), "", err)
		start = time.Now()
	})
}
