#!/bin/bash
# Makes a worker of a fresh machine with Amazon Linux 2023, or with a Deep Learning AMI that is based on it.
#
#   user-data.sh JOB
#
# JOB  the job to work for; its settings are in /etc/bec/JOB.env already
#
# The machine's user data has fetched the kit into /opt/bec/kit, this script among it, and checked the digest of each
# file. What comes from elsewhere is checked here: system packages by the keys of Amazon Linux, Python packages by the
# digests of the locks. No package is built here, because that runs what its author likes, as root.
#
# A machine whose worker cannot be installed, fails again and again, or ended for good switches itself off: it would be
# paid for and do nothing. `shutdown -c` within 10 minutes keeps one whose installation failed, to look at it.
set -euo pipefail
job=$1
kit=/opt/bec/kit
venv=/opt/bec/venv
unit=bec-worker@.service
drop_ins=/etc/systemd/system/$unit.d
stop_margin=20

# First, so that what goes wrong later is in the log group too.
start_logs() {
    dnf install --quiet --assumeyes amazon-cloudwatch-agent logrotate
    useradd --system --home-dir /var/lib/bec --shell /sbin/nologin bec 2>/dev/null || id bec >/dev/null
    # systemd opens the log as root, and the agent reads it as root: in a folder of root's no worker can make it a link.
    echo 'd /var/log/bec 0750 root root' >/etc/tmpfiles.d/bec.conf
    systemd-tmpfiles --create /etc/tmpfiles.d/bec.conf
    cat >/etc/logrotate.d/bec <<'END'
/var/log/bec/*.log {
    size 100M
    rotate 2
    copytruncate
    missingok
    notifempty
}
END
    sed "s/@JOB@/$job/g" "$kit/cloudwatch-agent.json" >"/opt/bec/cloudwatch-agent.$job.json"
    /opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl \
        -a append-config -m ec2 -s -c "file:/opt/bec/cloudwatch-agent.$job.json"
}

install_program() {
    dnf install --quiet --assumeyes python3.12 python3.12-pip
    python3.12 -m venv "$venv"
    local pip="$venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all:"
    $pip --require-hashes --requirement "$kit/requirements.txt"
    $pip "$kit"/bec_orch-*.whl
    if nvidia-smi >/dev/null 2>&1; then
        # Both packages hold the same module: the one for the GPU takes the place of the other one.
        "$venv/bin/python" -m pip uninstall --quiet --yes onnxruntime
        $pip --require-hashes --requirement "$kit/requirements-gpu.txt"
    fi
}

# BEC_SQL_SSLROOTCERT names this file: the authorities of Amazon RDS.
fetch_authorities() {
    if grep -q '^BEC_SQL_SSLROOTCERT=/etc/bec/rds-ca.pem$' "/etc/bec/$job.env"; then
        curl --fail --silent --show-error --retry 5 --output /etc/bec/rds-ca.pem \
            https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
    fi
}

start_worker() {
    install -m 644 "$kit/$unit" /etc/systemd/system/
    install -d "$drop_ins"
    cat >"$drop_ins/fleet.conf" <<'END'
[Unit]
SuccessAction=poweroff
StartLimitAction=poweroff
END
    local grace
    grace=$(sed -n 's/^BEC_GRACE_SECONDS=//p' "/etc/bec/$job.env")
    if [ -n "$grace" ]; then
        printf '[Service]\nTimeoutStopSec=%d\n' "$((${grace%.*} + stop_margin))" >"$drop_ins/grace.conf"
    fi
    systemctl daemon-reload
    systemctl enable --now "bec-worker@$job.service"
}

start_logs
fetch_authorities
install_program
start_worker
