// Written by rollout. Changes by hand are lost.
import crypto from 'crypto';
import fs from 'fs';

const settings = {
    "generation": 7,
    "key": "a key that nobody should read",
    "longest": 30,
    "prefix": "rollout_chat__production",
    "service": "chat",
    "status": {
        "canary": "r2",
        "generation": 7,
        "rollout": "r2",
        "stable": "r1"
    },
    "weight": 0,
    "weight_file": "/var/lib/rollout/chat-production/gateway/weight"
};

function current() {
    let text;
    try {
        text = fs.readFileSync(settings.weight_file, 'utf8');
    } catch (error) {
        return {weight: settings.weight, problem: error.code === 'ENOENT' ? '' : 'cannot read the weight file'};
    }
    const found = /^([0-9]{1,15}) ([0-9]{1,4})\n$/.exec(text);
    if (found === null) {
        return {weight: settings.weight, problem: 'the weight file is malformed'};
    }
    return {weight: Number(found[1]) === settings.generation ? Number(found[2]) : settings.weight, problem: ''};
}

function split(r) {
    return Number(r.variables[settings.prefix + '_bucket']) < current().weight ? 'canary' : 'stable';
}

function same(a, b) {
    if (a.length !== b.length) {
        return false;
    }
    let difference = 0;
    for (let i = 0; i < a.length; i++) {
        difference |= a.charCodeAt(i) ^ b.charCodeAt(i);
    }
    return difference === 0;
}

function day(text, ahead) {
    return new Date(Date.parse(text + 'T12:00:00Z') + ahead * 86400000).toISOString().slice(0, 10);
}

function token(r) {
    const given = r.variables[settings.prefix + '_token'] || '';
    const found = /^(canary|stable)\.([0-9]{4}-[0-9]{2}-[0-9]{2})\.([0-9a-f]{64})$/.exec(given);
    if (found === null || settings.key === '') {
        return '';
    }
    const today = r.variables.time_iso8601.slice(0, 10);
    if (found[2] < today || found[2] > day(today, settings.longest)) {
        return '';
    }
    const text = settings.service + '.' + found[1] + '.' + found[2];
    const want = crypto.createHmac('sha256', settings.key).update(text).digest('hex');
    return same(want, found[3]) ? found[1] : '';
}

function status(r) {
    const now = current();
    const answer = {};
    Object.keys(settings.status).forEach(function (name) { answer[name] = settings.status[name]; });
    answer.weight = now.weight / 10;
    answer.problem = now.problem;
    r.headersOut['Content-Type'] = 'application/json';
    r.headersOut['Cache-Control'] = 'no-store';
    r.return(200, JSON.stringify(answer) + '\n');
}

export default {split, token, status};
