"""Deletes the stack of an environment of samconfig.toml, for `make undeploy`.

The state bucket outlives the stack. With --delete-state the stack's objects in it are
deleted too, and then the bucket, unless it holds anything else.
"""

import argparse
import subprocess
import sys

import boto3
import botocore.exceptions
import tomlkit

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--sam", default="sam")
parser.add_argument("--config-env", default="default")
parser.add_argument("--yes", action="store_true", help="ask nothing")
parser.add_argument("--delete-state", action="store_true")
args = parser.parse_args()

with open("samconfig.toml", encoding="utf-8") as file:
    stack = tomlkit.load(file)[args.config_env]["global"]["parameters"]["stack_name"]
stacks = boto3.client("cloudformation")


def describe():
    """Returns the outputs of the stack, or None if it does not exist."""
    try:
        outputs = stacks.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    except botocore.exceptions.ClientError as err:
        if "does not exist" in str(err):
            return None
        raise
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


outputs = describe()
if outputs is None:
    sys.exit(f"undeploy: there is no stack {stack}")
command = [*args.sam.split(), "delete", "--config-env", args.config_env, *(["--no-prompts"] if args.yes else [])]
if subprocess.run(command, check=False).returncode or describe() is not None:
    sys.exit(f"undeploy: the stack {stack} is still there")

if workspace := outputs.get("WorkspaceId"):
    print(f"The metrics stay in the workspace {workspace}. To use it again, deploy with WorkspaceId={workspace}.")
name = outputs.get("StateBucketName")
if not name:
    sys.exit()
if not args.delete_state:
    print(f"The state stays in the bucket {name}. To use it again, deploy with StateBucket={name}.")
    sys.exit()
bucket = boto3.resource("s3").Bucket(name)
for version in bucket.object_versions.filter(Prefix=stack + "/"):
    version.delete()
try:
    bucket.delete()
    print(f"Deleted the bucket {name} with the state.")
except botocore.exceptions.ClientError as err:
    if err.response["Error"]["Code"] != "BucketNotEmpty":
        raise
    print(f"Deleted the state. The bucket {name} holds something else and stays.")
