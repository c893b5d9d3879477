package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// Without being asked for, nothing watches and nothing is created for alerts.
func TestTemplateWatchesNothingByDefault(t *testing.T) {
	t.Parallel()
	resources := newStack(t, template(t), toWorkspace).present("Resources")
	for name, resource := range resources {
		of := resource.(map[string]any)["Type"].(string)
		for _, service := range []string{"APS", "CloudWatch", "KMS", "SNS"} {
			if strings.HasPrefix(of, "AWS::"+service+"::") {
				t.Errorf("%s is there by default", name)
			}
		}
	}
	for property, want := range map[string]any{"Tracing": "PassThrough", "VpcConfig": nil} {
		if got := properties(resources, "ExporterFunction")[property]; got != want {
			t.Errorf("%s of the function is %v", property, got)
		}
	}
}

// alarmsAbout are the alarms, with the metric that each rests on: of Lambda and SQS only,
// so that no setting of the program silences it.
var alarmsAbout = map[string]string{
	"DeadLettersAlarm": "AWS/SQS ApproximateNumberOfMessagesVisible <EventDeadLetterQueue.QueueName>",
	"DurationAlarm":    "AWS/Lambda Duration <ExporterFunction>",
	"ErrorsAlarm":      "AWS/Lambda Errors <ExporterFunction>",
	"NoSuccessAlarm":   "AWS/Lambda Errors <ExporterFunction>",
	"PlanAlarm":        "AWS/Lambda AsyncEventsDropped <ExporterFunction>",
	"QueueAgeAlarm":    "AWS/SQS ApproximateAgeOfOldestMessage <EventQueue.QueueName>",
	"ThrottlesAlarm":   "AWS/Lambda Throttles <ExporterFunction>",
}

// With a topic there are alarms, and none without. Each tells the topic when it goes off
// and when it ends.
func TestTemplateAlarms(t *testing.T) {
	t.Parallel()
	forStacks(t, besides, func(s *stack) {
		resources := s.present("Resources")
		alarms, want := map[string]string{}, map[string]string{}
		topic := s.parameters["AlertTopic"]
		for name, about := range alarmsAbout {
			if topic != "" && (hasQueue(s) || !strings.Contains(about, "SQS")) && (s.parameters["Targets"] != "" || name != "PlanAlarm") {
				want[name] = about
			}
		}
		if topic == "create" {
			topic = "<Topic>"
		}
		for name, resource := range resources {
			if resource.(map[string]any)["Type"] != "AWS::CloudWatch::Alarm" {
				continue
			}
			fields := properties(resources, name)
			dimension := fields["Dimensions"].([]any)[0].(map[string]any)
			alarms[name] = fmt.Sprint(fields["Namespace"], " ", fields["MetricName"], " ", dimension["Value"])
			for _, actions := range []string{"AlarmActions", "OKActions"} {
				if got := list(fields[actions]); !slices.Equal(got, []string{topic}) {
					t.Errorf("%s of %s are %v, want %s", actions, name, got, topic)
				}
			}
		}
		if diff := gocmp.Diff(want, alarms); diff != "" {
			t.Errorf("alarms (-want +template.yaml):\n%s", diff)
		}
	})
}

// The alarm about success goes off if there is no invocation at all, and is silent while
// the schedule is off. The one about duration goes off before the timeout.
func TestTemplateAlarmThresholds(t *testing.T) {
	t.Parallel()
	s := newStack(t, template(t), with(toURL, map[string]string{"AlertTopic": someTopic, "ScheduleMinutes": "7", "ScheduleState": "DISABLED"}))
	resources := s.present("Resources")
	success := properties(resources, "NoSuccessAlarm")
	for property, want := range map[string]any{
		"TreatMissingData": "breaching", "EvaluationPeriods": "7", "Statistic": "Minimum", "ComparisonOperator": "GreaterThanThreshold", "Threshold": "0", "ActionsEnabled": "false",
	} {
		if success[property] != want {
			t.Errorf("%s of the alarm about success is %v, want %v", property, success[property], want)
		}
	}
	seconds := func(value any) int {
		n, err := strconv.Atoi(fmt.Sprint(value))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	timeout, threshold := seconds(properties(resources, "ExporterFunction")["Timeout"]), seconds(properties(resources, "DurationAlarm")["Threshold"])
	if threshold != timeout*900 {
		t.Errorf("the alarm about duration goes off at %d ms, want nine tenths of %d s", threshold, timeout)
	}
}

// Who may publish to the created topic: alarms of the account, and the workspace if it is
// in the stack's account and Region. Both may use its key.
func TestTemplateTopic(t *testing.T) {
	t.Parallel()
	forStacks(t, besides, func(s *stack) {
		resources := s.present("Resources")
		if s.parameters["AlertTopic"] != "create" {
			if resources["Topic"] != nil || resources["TopicKey"] != nil || resources["TopicPolicy"] != nil {
				t.Error("a topic is created")
			}
			return
		}
		want := map[string]string{"cloudwatch.amazonaws.com": "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:*"}
		switch workspace := s.parameters["WorkspaceId"]; {
		case workspace == "create":
			want["aps.amazonaws.com"] = "<Workspace.Arn>"
		case workspace != "" && s.parameters["WorkspaceRegion"] == "" && s.parameters["WorkspaceAccountId"] == "":
			want["aps.amazonaws.com"] = "arn:aws:aps:eu-west-1:111122223333:workspace/" + workspace
		}
		got, deniesPlain := map[string]string{}, false
		for _, statement := range dig(t, properties(resources, "TopicPolicy"), "PolicyDocument", "Statement").([]any) {
			fields := statement.(map[string]any)
			if fields["Effect"] == "Deny" {
				deniesPlain = dig(t, fields, "Condition", "Bool", "aws:SecureTransport") == "false"
				continue
			}
			condition := fields["Condition"].(map[string]any)
			arn := condition["ArnLike"]
			if arn == nil {
				arn = condition["ArnEquals"]
			}
			if fields["Resource"] != "<Topic>" || dig(t, condition, "StringEquals", "aws:SourceAccount") != "111122223333" || !slices.Contains(list(fields["Action"]), "sns:Publish") {
				t.Errorf("statement %v", fields)
			}
			got[dig(t, fields, "Principal", "Service").(string)] = arn.(map[string]any)["aws:SourceArn"].(string)
		}
		if diff := gocmp.Diff(want, got); diff != "" || !deniesPlain {
			t.Errorf("who may publish, and TLS only: %v (-want +template.yaml):\n%s", deniesPlain, diff)
		}
		if properties(resources, "Topic")["KmsMasterKeyId"] != "<TopicKey>" {
			t.Error("the topic is not encrypted with its key")
		}
		users := dig(t, properties(resources, "TopicKey"), "KeyPolicy", "Statement").([]any)[1].(map[string]any)
		if !slices.Equal(list(dig(t, users, "Principal", "Service")), []string{"cloudwatch.amazonaws.com", "aps.amazonaws.com"}) || !slices.Equal(list(users["Action"]), []string{"kms:Decrypt", "kms:GenerateDataKey*"}) {
			t.Errorf("who may use the key: %v", users)
		}
	})
}

// A created workspace stays when the stack is deleted, and sends alerts to the topic.
func TestTemplateWorkspace(t *testing.T) {
	t.Parallel()
	resources := newStack(t, template(t), allCreated).present("Resources")
	workspace := resources["Workspace"].(map[string]any)
	if workspace["DeletionPolicy"] != "RetainExceptOnCreate" || workspace["UpdateReplacePolicy"] != "Retain" {
		t.Errorf("the workspace is deleted with the stack: %v", workspace)
	}
	var definition struct {
		Config string `yaml:"alertmanager_config"`
	}
	if err := yaml.Unmarshal([]byte(dig(t, properties(resources, "Workspace"), "AlertManagerDefinition").(string)), &definition); err != nil {
		t.Fatal(err)
	}
	var config struct {
		Route     struct{ Receiver string }
		Receivers []struct {
			Name string
			SNS  []map[string]any `yaml:"sns_configs"`
		}
	}
	if err := yaml.Unmarshal([]byte(definition.Config), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Receivers) != 1 || config.Receivers[0].Name != config.Route.Receiver || len(config.Receivers[0].SNS) != 1 || config.Receivers[0].SNS[0]["topic_arn"] != "<Topic>" {
		t.Errorf("alerts go to %+v", config)
	}
	if rules := properties(resources, "WorkspaceRules"); rules["Workspace"] != "<Workspace.Arn>" {
		t.Errorf("the rules are of %v", rules["Workspace"])
	}
	without := newStack(t, template(t), toCreated).present("Resources")
	if properties(without, "Workspace")["AlertManagerDefinition"] != nil || without["WorkspaceRules"] != nil {
		t.Error("without a topic and rules the workspace has some")
	}
}

// The dashboard is JSON, and has what CloudWatch needs of each widget, with and without
// events.
func TestTemplateDashboard(t *testing.T) {
	t.Parallel()
	for rules, want := range map[string]int{"ENABLED": 5, "DISABLED": 3} {
		resources := newStack(t, template(t), with(toURL, map[string]string{"Dashboard": "ENABLED", "EventRules": rules})).present("Resources")
		var body struct {
			Widgets []struct {
				Type                string
				X, Y, Width, Height int
				Properties          map[string]any
			}
		}
		text := dig(t, properties(resources, "FunctionDashboard"), "DashboardBody").(string)
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if len(body.Widgets) != want {
			t.Errorf("%d widgets, want %d", len(body.Widgets), want)
		}
		for _, widget := range body.Widgets {
			if widget.Properties["title"] == "" || widget.Properties["region"] != "eu-west-1" || widget.Width == 0 || widget.Height == 0 || widget.X+widget.Width > 24 {
				t.Errorf("widget %+v", widget)
			}
			if (widget.Type == "metric") != (widget.Properties["metrics"] != nil) || (widget.Type == "log") != (widget.Properties["query"] != nil) {
				t.Errorf("widget %+v", widget)
			}
		}
	}
}

// In a network Lambda may manage interfaces as the function's role, the function's code
// may not.
func TestTemplateNetwork(t *testing.T) {
	t.Parallel()
	resources := newStack(t, template(t), allCreated).present("Resources")
	want := map[string]any{"SubnetIds": []any{"subnet-0a1b", "subnet-2c3d"}, "SecurityGroupIds": []any{"sg-0a1b", "sg-2c3d"}}
	if diff := gocmp.Diff(want, properties(resources, "ExporterFunction")["VpcConfig"]); diff != "" {
		t.Errorf("the function's network (-want +template.yaml):\n%s", diff)
	}
	role := properties(resources, "ExporterRole")
	for property, want := range map[string]string{"Path": "/exporters/", "PermissionsBoundary": "arn:aws:iam::111122223333:policy/team/boundary"} {
		if role[property] != want {
			t.Errorf("%s of the role is %v, want %s", property, role[property], want)
		}
	}
	denied := 0
	for _, policy := range role["Policies"].([]any) {
		for _, statement := range dig(t, policy.(map[string]any), "PolicyDocument", "Statement").([]any) {
			if fields := statement.(map[string]any); fields["Effect"] == "Deny" {
				denied++
				if fields["Action"] != "ec2:*" || dig(t, fields, "Condition", "ArnLike", "lambda:SourceFunctionArn") != "arn:aws:lambda:eu-west-1:111122223333:function:stack-*" {
					t.Errorf("statement %v", fields)
				}
			}
		}
	}
	if denied != 1 {
		t.Errorf("%d statements deny something", denied)
	}
}

// Keys of the user's are those of the bucket and the log group.
func TestTemplateKeys(t *testing.T) {
	t.Parallel()
	resources := newStack(t, template(t), allCreated).present("Resources")
	if got := properties(resources, "ExporterLogGroup")["KmsKeyId"]; got != someKey {
		t.Errorf("the log group's key is %v", got)
	}
	rule := dig(t, properties(resources, "InventoryBucket"), "BucketEncryption", "ServerSideEncryptionConfiguration").([]any)[0].(map[string]any)
	want := map[string]any{"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": stateKey}
	if diff := gocmp.Diff(want, rule["ServerSideEncryptionByDefault"]); diff != "" {
		t.Errorf("the bucket's encryption (-want +template.yaml):\n%s", diff)
	}
}

// The setting of the data source is JSON that names the workspace, and links lead to the
// console of the partition.
func TestTemplateOutputs(t *testing.T) {
	t.Parallel()
	outputs := newStack(t, template(t), toAnother).present("Outputs")
	var source struct{ Type, URL string }
	if err := json.Unmarshal([]byte(dig(t, outputs, "GrafanaDataSource", "Value").(string)), &source); err != nil {
		t.Fatal(err)
	}
	const workspace = "https://aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1"
	if source.URL != workspace+"/" || source.Type != "grafana-amazonprometheus-datasource" || dig(t, outputs, "QueryUrl", "Value") != workspace+"/api/v1/query" {
		t.Errorf("data source %+v, query URL %v", source, outputs["QueryUrl"])
	}
	if url := dig(t, outputs, "LogsInsightsUrl", "Value").(string); !strings.HasPrefix(url, "https://eu-west-1.console.aws.amazon.com/") || strings.ContainsAny(url, " \n") || !strings.HasSuffix(url, "aws*2flambda*2fstack))") {
		t.Errorf("the link to Logs Insights is %s", url)
	}
	for partition := range map[string]bool{"aws": true, "aws-cn": true, "aws-us-gov": true} {
		if at(t, template(t), "Mappings", "Partitions", partition, "Console").Value == "" {
			t.Errorf("%s has no console", partition)
		}
	}
}
