package takeover

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/kafka/kafkatest"
)

// An obstacleCase is a group, and the result of its check.
type obstacleCase struct {
	name         string
	prepare      func(group *formerGroup)
	deletesTopic bool   // prepare deletes one of the group's topics
	want         string // beginning of the only problem; "" means no problem
	wantErr      string // part of the error; "" means that the check succeeds
}

// The check names members, and rejects members of another program and groups of another topic.
func TestCheckTakeoverReportsMembers(t *testing.T) {
	t.Parallel()
	checkObstacles(t, []obstacleCase{
		{name: "no members", prepare: func(*formerGroup) {}},
		{name: "Kafka Connect's workers",
			prepare: func(group *formerGroup) { group.join("connect", "sessioned", "http://a:8083/") },
			want: "! worker.properties:2: group.id: a Kafka Connect worker is live: " +
				"stop it first: http://a:8083/ at "},
		{name: "a Culvert worker",
			prepare: func(group *formerGroup) { group.join("connect", "culvert-1", "http://b:8083/") },
			want: "worker.properties:2: group.id: warning: a Culvert worker is live: " +
				"workers that start join it: http://b:8083/ at "},
		{name: "consumers", prepare: func(group *formerGroup) { group.join("other", "range", "") },
			want: `! worker.properties:2: group.id: a member of the type "other" in the state Stable is live`},
		{name: "members that left", prepare: func(group *formerGroup) {
			group.join("connect", "sessioned", "http://a:8083/")()
		}},
		{name: "another group's topic", prepare: func(group *formerGroup) {
			group.put("configs", "culvert-group-g {}")
			group.group = "other"
			group.join("connect", "culvert-1", "http://b:8083/")
			group.put("configs", "culvert-group-g", "culvert-group-other {}", "culvert-group-g {}")
		}, want: "! worker.properties:2: group.id: config.storage.topic=configs: expected connectors of group.id=g, " +
			"found that the topic belongs to group other"},
		{name: "the topic of a group without members",
			prepare: func(group *formerGroup) { group.put("configs", "culvert-group-other {}") },
			want: "! worker.properties:2: group.id: config.storage.topic=configs: expected connectors of group.id=g, " +
				"found that the topic belongs to group other"},
		{name: "no workers of a group", prepare: func(group *formerGroup) {
			group.config.Settings = map[string]string{"status.storage.topic": ""}
		}, wantErr: "expected a worker of a group"},
	})
}

// The check rejects topics that workers cannot use. It creates nothing that is missing.
func TestCheckTakeoverReportsUnusableTopics(t *testing.T) {
	t.Parallel()
	checkObstacles(t, []obstacleCase{
		{name: "an open transaction", prepare: func(group *formerGroup) {
			client := kafkatest.Client(t, kgo.SeedBrokers(group.fake.ListenAddrs()...), kgo.TransactionalID("open"))
			require.NoError(t, client.BeginTransaction())
			require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "configs", Key: []byte("connector-c"),
				Value: []byte("{}")}).FirstErr())
		}, want: "configs: warning: an open transaction hides the records from offset 0 on"},
		{
			name: "a topic that is missing",
			prepare: func(group *formerGroup) {
				_, err := group.admin.DeleteTopic(t.Context(), "offsets")
				require.NoError(t, err)
			},
			deletesTopic: true,
			want:         "! worker.properties:5: offset.storage.topic: topic offsets: UNKNOWN_TOPIC_OR_PARTITION",
		},
		{name: "a topic without compaction", prepare: func(group *formerGroup) {
			_, err := group.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "cleanup.policy",
				Value: kadm.StringPtr("delete")}}, "states")
			require.NoError(t, err)
		}, want: "! worker.properties:4: status.storage.topic: topic states must have cleanup.policy=compact"},
		{name: "a config topic that is missing", prepare: func(group *formerGroup) {
			_, err := group.admin.DeleteTopic(t.Context(), "configs")
			require.NoError(t, err)
		}, wantErr: "worker.properties:3: config.storage.topic: topic configs: UNKNOWN_TOPIC_OR_PARTITION"},
		{name: "a config topic of two partitions", prepare: func(group *formerGroup) {
			_, err := group.admin.CreatePartitions(t.Context(), 1, "configs")
			require.NoError(t, err)
		}, wantErr: "is required to have a single partition"},
	})
}

// The check names the right that a user lacks.
func TestCheckTakeoverReportsMissingPermissions(t *testing.T) {
	t.Parallel()
	checkObstacles(t, []obstacleCase{
		{name: "a group that this user may not see", prepare: func(group *formerGroup) {
			group.fake.ControlKey(int16(kmsg.DescribeGroups), func(r kmsg.Request) (kmsg.Response, error, bool) {
				group.fake.KeepControl()
				response := r.ResponseKind().(*kmsg.DescribeGroupsResponse)
				description := kmsg.NewDescribeGroupsResponseGroup()
				description.Group = "g"
				description.ErrorCode = kerr.GroupAuthorizationFailed.Code
				response.Groups = append(response.Groups, description)
				return response, nil, true
			})
		}, want: "! worker.properties:2: group.id: members of group g: the brokers deny this user the request: " +
			"expected the right DESCRIBE on the resource Group g"},
		{name: "a user that may not lead", prepare: func(group *formerGroup) {
			kafkatest.RejectIf(group.fake, kmsg.EndTxn, kerr.TransactionalIDAuthorizationFailed,
				func(kmsg.Request) bool { return true })
		}, want: "! worker.properties:2: group.id: the brokers deny this user to lead the group: expected the " +
			"right WRITE on the resource TransactionalId connect-cluster-g"},
	})
}

// checkObstacles checks the group of each case, and that the check creates no topic.
func checkObstacles(t *testing.T, cases []obstacleCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			group := newFormerGroup(t)
			test.prepare(group)
			report, err := Check(t.Context(), group.config)
			if test.wantErr != "" {
				assert.Error(t, err, test.wantErr)
				return
			}
			require.NoError(t, err)
			lines := group.problemLines(report.Problems)
			isWanted := len(lines) == 1 && strings.HasPrefix(lines[0], test.want)
			assert.True(t, (test.want != "" || len(lines) == 0) && (test.want == "" || isWanted),
				"expected %q, found %q", test.want, lines)
			topics, err := group.admin.ListTopics(t.Context())
			topicCount := 4 // of the group
			if test.deletesTopic {
				topicCount--
			}
			if err != nil || len(topics) != topicCount {
				t.Errorf("expected the %d topics of the group, found %v, %v", topicCount, topics.Names(), err)
			}
		})
	}
}
