"""Prints what is in which Region, by the data of botocore and cfn-lint, as a table."""
import gzip, importlib.metadata, json, os, textwrap

import botocore, cfnlint

data = os.path.join(os.path.dirname(botocore.__file__), "data")
schemas = os.path.join(os.path.dirname(cfnlint.__file__), "data", "schemas", "providers")


def load(*path):
    name = os.path.join(data, *path)
    with gzip.open(name + ".gz") if os.path.exists(name + ".gz") else open(name, "rb") as f:
        return json.load(f)


partitions = {p["partition"]: p for p in load("endpoints.json")["partitions"]}


# Enabled in every account: those from before March 20, 2019, and Osaka.
# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
default = set("""
    ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 ca-central-1 eu-central-1 eu-north-1
    eu-west-1 eu-west-2 eu-west-3 sa-east-1 us-east-1 us-east-2 us-west-1 us-west-2
""".split())
of = lambda *ids: [r for p in ids for r in partitions[p]["regions"]]
isolated = ["aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"]
columns = {  # by name and partitions
    ("default", "`aws`"): [r for r in of("aws") if r in default],
    ("opt-in", "`aws`"): [r for r in of("aws") if r not in default],
    ("GovCloud", "`aws-us-gov`"): of("aws-us-gov"),
    ("China", "`aws-cn`"): of("aws-cn"),
    ("Sovereign Cloud", "`aws-eusc`"): of("aws-eusc"),
    ("isolated", ", ".join("`%s`" % p for p in isolated)): of(*isolated),
}
assert default <= set(of("aws")), default


def endpoint(service, *tags):
    def has(region):
        for p in partitions.values():
            at = p["services"].get(service, {}).get("endpoints", {}).get(region)
            if at is not None:
                return not tags or any(sorted(v["tags"]) == sorted(tags) for v in at.get("variants", []))
        return False

    return has


def resource(*types):
    known = {}

    def has(region):
        if region not in known:
            name = os.path.join(schemas, region + ".json")
            known[region] = json.load(open(name)) if os.path.exists(name) else None
        return None if known[region] is None else all(t in known[region] for t in types)

    return has


def cell(regions, has):
    yes = sorted(r for r in regions if has(r))
    unknown = sorted(r for r in regions if has(r) is None)
    no = sorted(set(regions) - set(yes) - set(unknown))
    if not yes:
        text = "no"
    elif not no:
        text = "yes"
    elif len(no) <= len(yes):
        text = "all but " + ", ".join(no)
    else:
        text = ", ".join(yes)
    return text + (" (unknown: " + ", ".join(unknown) + ")" if unknown else "")


rest = ["lambda", "events", "sqs", "s3", "ssm", "secretsmanager", "sts", "kms", "sns", "monitoring", "logs", "xray", "servicequotas", "ec2"]
types = [
    "AWS::Lambda::Function", "AWS::Lambda::EventInvokeConfig", "AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission",
    "AWS::Events::Rule", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "AWS::S3::Bucket", "AWS::S3::BucketPolicy", "AWS::IAM::Role",
    "AWS::Logs::LogGroup", "AWS::KMS::Key", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard",
]
rows = [
    ("ECR", endpoint("api.ecr"), "E `api.ecr`"),
    ("ECR, FIPS", endpoint("api.ecr", "fips"), "E `api.ecr`"),
    ("ECR, dual-stack", endpoint("api.ecr", "dualstack"), "E `api.ecr`"),
    ("pull-time update exclusions", resource("AWS::ECR::PullTimeUpdateExclusion"), "T `AWS::ECR::PullTimeUpdateExclusion`"),
    ("Inspector, so enhanced scanning", endpoint("inspector2"), "E `inspector2`"),
    ("Inspector, FIPS", endpoint("inspector2", "fips"), "E `inspector2`"),
    ("Inspector, dual-stack", endpoint("inspector2", "dualstack"), "E `inspector2`"),
    ("AMP", endpoint("aps"), "E `aps`"),
    ("AMP's workspaces and rules in the template", resource("AWS::APS::Workspace", "AWS::APS::RuleGroupsNamespace"), "T `AWS::APS::Workspace`, `AWS::APS::RuleGroupsNamespace`"),
    ("AMP, FIPS", endpoint("aps", "fips"), "E `aps`"),
    ("AMP, dual-stack", endpoint("aps", "dualstack"), "E `aps`"),
    ("STS, FIPS", endpoint("sts", "fips"), "E `sts`"),
    ("STS, dual-stack", endpoint("sts", "dualstack"), "E `sts`"),
    ("S3, FIPS", endpoint("s3", "fips"), "E `s3`"),
    ("S3, dual-stack", endpoint("s3", "dualstack"), "E `s3`"),
    ("Parameter Store, FIPS", endpoint("ssm", "fips"), "E `ssm`"),
    ("Parameter Store, dual-stack", endpoint("ssm", "dualstack"), "E `ssm`"),
    ("Secrets Manager, FIPS", endpoint("secretsmanager", "fips"), "E `secretsmanager`"),
    ("Secrets Manager, dual-stack", endpoint("secretsmanager", "dualstack"), "E `secretsmanager`"),
    ("the other services", lambda r: all(endpoint(s)(r) for s in rest), "E " + ", ".join("`%s`" % s for s in rest)),
    ("the template's other types", resource(*types), "T %d types of [template.yaml](../template.yaml)" % len(types)),
]
print("| what | " + " | ".join(name for name, _ in columns) + " | source of each cell |")
print("|---|" + "---|" * len(columns) + "---|")
print("| partition in the source | " + " | ".join(partition for _, partition in columns) + " | |")
for what, has, source in rows:
    print("| " + " | ".join([what] + [cell(r, has) for r in columns.values()] + [source]) + " |")
print()
version = json.load(open(os.path.join(os.path.dirname(schemas), "version.json")))["schema_date"][:10]
def paragraph(text):
    print(textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False))


paragraph("So each cell has its source. E: the Regions of the column that `data/endpoints.json` of botocore %s has among the `endpoints` of the service in that partition, for FIPS and dual-stack with that variant. T: the Regions of the column of which cfn-lint %s, of %s, has the type in its schemas; *unknown* are those of which it has no schemas." % (
    botocore.__version__, importlib.metadata.version("cfn-lint"), version))
print()
paragraph("Opt-in Regions are %s; the others of `aws` are enabled in every account." % ", ".join("`%s`" % r for r in sorted(columns["opt-in", "`aws`"])))
